# What people do here.

# List the recipes
_default:
    @just --list

# See a job get a machine, train and vanish
demo:
    cargo demo

# Run the everyday tests
test:
    cargo test --workspace

# Run every test, as CI does (root, and the packages of .ci/run)
test-full:
    CML_TESTS=full cargo test --workspace

# Format, lint and check dependencies and templates
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    git ls-files '*.sh' '*/Runner.Listener' .ci/run packaging/dvc ':!templates/machine' | xargs shellcheck -x -P SCRIPTDIR
    cat templates/machine/*.sh | shellcheck -
    cargo fetch --locked --quiet
    cargo deny --offline --locked check bans licenses sources

# Build the book into target/book (cargo install --locked mdbook@0.5.4)
docs:
    mdbook build docs

# Boot the machine's user data: in containers, then in an emulated virtual machine (root, and the packages of .ci/run)
boot-test:
    CML_TESTS=full cargo test -p cml-e2e --test full -- boot:: boot_weather::
    CML_TESTS=full timeout 900 cargo test -p cml-e2e --test full boot_vm:: -- --include-ignored --test-threads 1

# How long a report over a million entries takes, and in how much memory
bench-cost:
    cargo test --release -p cml-cost --test bench -- --ignored --nocapture

# How long machines take to their runner, beside what cloud-init takes for nothing
bench-boot:
    CML_TESTS=full cargo test -p cml-e2e --test bench boot:: -- --ignored --nocapture --test-threads 1

# Run the benchmarks and print the tables of docs/benchmarks.md
bench:
    cargo build --release -p cml-runner
    cargo test --release -p cml-e2e --test bench -- --ignored --nocapture --test-threads 1 local:: report::
    cargo test --release -p cml-e2e --test bench -- --ignored --nocapture --test-threads 1 daemon:: scale::
    cargo test --release -p cml-planner --test bench -- --ignored --nocapture

# Give a surface what nobody would type, for so many seconds (cargo install --locked cargo-fuzz@0.13.2): webhook, cml_yaml, report, …
fuzz TARGET SECONDS:
    cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none {{TARGET}} -- -max_total_time={{SECONDS}} -rss_limit_mb=512 -timeout=20

# Tell one history of the simulated world, event by event
sim SEED:
    cargo run --release --quiet -p cml-world -- replay {{SEED}}

# Play histories of the simulated world until told to stop
sim-night:
    cargo run --release --quiet -p cml-world -- night

# Run the guide's workflows on machines that `launch` gets (root, and mmdebstrap)
seed-test:
    CML_TESTS=full cargo test -p cml-e2e --test full seed::

# Build the program as one static file (ten minutes) and run it in an empty root on a network of its own (root)
static-test:
    CML_TESTS=full cargo test -p cml-e2e --test full static_binary:: -- --nocapture

# Follow the front page, the quick start and the first GPU job from a bare Debian (root, and mmdebstrap)
first-hour-test:
    CML_TESTS=full cargo test -p cml-e2e --test full first_hour:: -- --nocapture

# Make the pages of docs/reference anew, from the program
reference:
    UPDATE_REFERENCE=1 cargo test -p cml-runner reference

# Make the book's pictures anew (chromium, and a font with emoji)
pictures:
    UPDATE_PICTURES=1 cargo test -p cml-e2e --test everyday -- page:: pictures::
    UPDATE_PICTURES=1 cargo test -p cml-cost --test html

# A Debian package in target/
deb:
    cargo build --release -p cml-runner
    packaging/deb.sh target/release/cml-runner target

# The archive of a release in target/dist/, of a static program
archive:
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target x86_64-unknown-linux-gnu -p cml-runner
    packaging/release.sh target/x86_64-unknown-linux-gnu/release/cml-runner target/dist x86_64-unknown-linux-gnu

# Hold the dependencies against RustSec's advisories (fetches the database)
audit:
    cargo deny --locked check advisories

# Everything that CI runs
ci:
    .ci/run
