#!/bin/sh
# prepare.sh PROJECT DIR VENV WHEELS ENDPOINT BUCKET, in the image: what a team has done before its first workflow.
#
#   DIR/origin.git   the bare repository, with `main`
#   DIR/team         a clone of it
#
# The project's data is in DVC's remote, its pipeline was run once, and its results were pushed. VENV has what the project
# requires; it is kept from one preparation to the next, and so are WHEELS.
set -eu

project=$1 dir=$2 venv=$3 wheels=$4 endpoint=$5 bucket=$6
"$(dirname "$0")/wheels.sh" "$wheels" image "$project/../requirements-jobs.txt" "$project/requirements.txt"
if ! cmp -s "$project/requirements.txt" "$venv/installed-requirements.txt"; then
    python3 -m venv --clear "$venv"
    "$venv/bin/pip" install --quiet --no-index --find-links "$wheels" --requirement "$project/requirements.txt"
    cp "$project/requirements.txt" "$venv/installed-requirements.txt"
fi
# Its python comes first; dvc is the image's.
PATH=$venv/bin:$PATH

git config --global user.name 'A team'
git config --global user.email team@example.invalid
git init --quiet --bare --initial-branch=main "$dir/origin.git"
# GitHub allows it, and actions/checkout asks for it.
git -C "$dir/origin.git" config uploadpack.allowAnySHA1InWant true
cp -R "$project" "$dir/team"
cd "$dir/team"
git init --quiet --initial-branch=main
git remote add origin "file://$dir/origin.git"
dvc init --quiet
dvc remote add --quiet --default storage "s3://$bucket/dvc"
dvc remote modify storage endpointurl "$endpoint"
dvc remote modify storage region us-east-1
python src/dataset.py
dvc add --quiet data/tumours.csv
dvc repro --quiet
dvc push --quiet --run-cache
git add --all
git commit --quiet --message 'Train the first model'
git push --quiet origin main
