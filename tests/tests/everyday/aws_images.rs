//! Images as AWS has them: roots that are larger than the default disk, volumes that outlive their machine, accelerators
//! that no default image drives. The front refuses what EC2 refuses.

use cml_e2e::front::{Call, Front, GPU_IMAGE, Image};
use cml_e2e::runner::Runner;
use cml_e2e::sim::Sim;

const REGION: &str = "us-east-1";

struct World {
    sim: Sim,
    front: Front,
    user: Runner,
}

async fn world() -> World {
    let sim = Sim::start().await;
    let front = Front::start().await;
    front.boot_instances();
    let user = sim.user().on_aws(&front);
    World { sim, front, user }
}

fn launch<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["launch", "--cloud", "aws", "--region", REGION, "--labels", "cml,gpu", "--json"];
    all.extend(["--boot-timeout", "60s", "--max-lifetime", "1h", "--idle-timeout", "20s"]);
    all.extend(more);
    all
}

fn param<'a>(call: &'a Call, name: &str) -> &'a str {
    call.params.get(&format!("LaunchTemplateData.{name}")).map_or("", String::as_str)
}

fn nothing_was_bought(world: &World) {
    assert_eq!(world.front.count("CreateLaunchTemplate"), 0);
    assert_eq!(world.front.count("CreateFleet"), 0);
    assert!(world.sim.runners().is_empty(), "{:#?}", world.sim.runners());
    let registered = world.sim.calls().iter().any(|call| call.contains("generate-jitconfig"));
    assert!(!registered, "{:#?}", world.sim.calls());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_default_gpu_launch_gets_a_disk_on_which_its_image_fits() {
    let world = world().await;
    let flags = launch(&["--type", "g4dn.xlarge", "--spot", "prefer"]);
    let launched = world.user.run(&flags).await.expect_code(0).json();
    assert_eq!(launched["instance_type"], "g4dn.xlarge");
    let template = world.front.calls_of("CreateLaunchTemplate").remove(0);
    assert_eq!(param(&template, "ImageId"), GPU_IMAGE);
    assert_eq!(param(&template, "BlockDeviceMapping.1.Ebs.VolumeSize"), "75");
    assert_eq!(
        param(&template, "BlockDeviceMapping.2.DeviceName"),
        "",
        "disks of the machine are not bought"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_need_for_a_gpu_is_planned_with_the_disk_of_its_image() {
    let world = world().await;
    let config = format!(
        "runners:\n  gpu:\n    labels: [cml, gpu]\n    cloud: aws\n    regions: [{REGION}]\n    needs: {{ gpu: [t4] }}\n    \
         spot: prefer\n    max: 1\n"
    );
    let file = world.user.home().join("cml.yaml");
    std::fs::write(&file, config).expect("written");
    let _job = world.sim.queue("gpu", "echo trained");
    let planned = world.user.run(&["plan", &file.to_string_lossy()]).await.expect_code(0);
    assert!(planned.stdout.contains("g4dn.xlarge"), "{planned:#?}");
    assert!(world.front.count("DescribeImages") > 0, "the image is looked at before anything is bought");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_smaller_than_the_image_is_refused_before_anything_is_registered_or_bought() {
    let world = world().await;
    world.front.add_image(Image::new("ami-0123456789abcdef0", "train-ami", 256));
    let image = ["--image", "ami-0123456789abcdef0", "--type", "t3.micro,t3.small"];
    let refused = launch(&[&image[..], &["--disk", "35"]].concat());
    let ran = world.user.run(&refused).await.expect_code(1);
    for word in ["35 GiB", "256 GiB", "--disk 256", "disk: 256GiB"] {
        assert!(ran.said().contains(word), "{word}: {ran:#?}");
    }
    let kind = ["--cloud", "aws", "--region", REGION, "--disk", "35"];
    let doctor = world.user.run(&[&["doctor"], &kind[..], &image[..]].concat()).await.expect_code(1);
    assert!(doctor.said().contains("disk: 256GiB"), "{doctor:#?}");
    let spec = "runners:\n  it:\n    cloud: aws\n    regions: [us-east-1]\n    labels: [it]\n    instance_types: [t3.micro]\n    image: ami-0123456789abcdef0\n    disk: 35GiB\n    max: 1\n";
    std::fs::write(world.user.home().join("cml.yaml"), spec).expect("written");
    let _ = world.sim.queue("it", "true");
    let plan = world.user.run(&["plan", "cml.yaml"]).await.expect_code(0);
    assert!(plan.said().contains("disk: 256GiB"), "{plan:#?}");
    nothing_was_bought(&world);
    let launched = world.user.run(&launch(&image)).await.expect_code(0);
    let template = world.front.calls_of("CreateLaunchTemplate").remove(0);
    assert_eq!(param(&template, "BlockDeviceMapping.1.Ebs.VolumeSize"), "256", "{launched:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_of_the_image_are_gone_with_the_machine() {
    let world = world().await;
    let image = Image::new("ami-0123456789abcdef1", "gha-ami", 8).with_volume("/dev/sdf", 200, false);
    world.front.add_image(image);
    let flags = launch(&["--image", "ami-0123456789abcdef1", "--type", "t3.micro"]);
    let launched = world.user.run(&flags).await.expect_code(0).json();
    let id = launched["instance_id"].as_str().expect("an id").to_owned();
    let template = world.front.calls_of("CreateLaunchTemplate").remove(0);
    assert_eq!(param(&template, "BlockDeviceMapping.2.DeviceName"), "/dev/sdf");
    assert_eq!(param(&template, "BlockDeviceMapping.2.Ebs.DeleteOnTermination"), "true");
    let volumes = world.front.volumes_of(&id);
    assert_eq!(volumes.iter().map(|volume| volume.gib).collect::<Vec<_>>(), [35, 200]);
    let place = ["--cloud", "aws", "--region", REGION];
    let _ = world.user.run(&[&["stop", id.as_str(), "--force"], &place[..]].concat()).await;
    assert_eq!(world.front.leftover_volumes(REGION).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_of_a_cache_is_bought_with_the_machine_and_its_snapshot_is_of_one_region() {
    let world = world().await;
    let snapshot = world.front.add_snapshot(REGION, 120).await;
    let cache = format!("{snapshot}:/cache");
    let flags = ["--cache", cache.as_str(), "--type", "t3.micro", "--region", "us-west-2"];
    let ran = world.user.run(&launch(&flags)).await.expect_code(0);
    for word in ["us-west-2", &snapshot, "it is not there"] {
        assert!(ran.said().contains(word), "{word}: {ran:#?}");
    }
    let journals = std::fs::read_dir(world.user.state_dir().join("journals")).expect("journals");
    let journal = journals
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|it| it == "db"));
    let journal = cml_journal::SqliteJournal::open(&journal.expect("a journal")).expect("opens");
    let state = cml_journal::State::of(&cml_journal::Journal::read_after(&journal, 0).expect("reads"));
    let (_, _, offer) = state.instances().next().expect("a machine");
    assert_eq!(offer.disk.map(|disk| disk.gib), Some(35 + 120), "{offer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accelerator_that_no_default_image_drives_is_refused_before_anything_is_bought() {
    let world = world().await;
    for (kind, word) in
        [("g4ad.xlarge", "AMD GPU"), ("p3dn.24xlarge", "before Turing"), ("inf2.xlarge", "Neuron")]
    {
        let ran = world.user.run(&launch(&["--type", kind])).await.expect_code(1);
        assert!(ran.said().contains(word) && ran.said().contains("--image"), "{kind}: {ran:#?}");
    }
    nothing_was_bought(&world);
}
