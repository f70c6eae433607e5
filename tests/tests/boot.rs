//! The machine really boots: the rendered user data under the real cloud-init and systemd.

use std::time::Duration;

use cml_e2e::boot::{Lab, isolated};

#[test]
fn a_machine_takes_its_job_and_is_gone() {
    isolated("a_machine_takes_its_job_and_is_gone", async || {
        let lab = Lab::new().await;
        let job = lab.sim.queue("boot", "id -un; echo done");
        let guest = lab.boot(&lab.bootstrap().await);
        lab.sim.succeeds(job).await;
        guest.off().await.expect_words("stage=listening cause=job_done status=0");
        assert!(lab.sim.log(job).unwrap_or_default().contains("runner"));
        let _ = Duration::ZERO;
    });
}
