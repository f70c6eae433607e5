//! Faults of the simulated world. A fault is armed or not for the whole history of a seed, then fires by chance: so
//! histories differ in kind, not only in luck.
//! not only in luck.

use std::collections::BTreeMap;

use super::rng::Rng;

macro_rules! faults {
    ($($name:ident $word:literal $most:literal)*) => {
        /// One kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $(#[doc = $word] $name,)*
        }

        impl Fault {
            /// All faults.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Returns its description.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Returns its highest rate, per thousand chances; 0 means that it is not drawn but is a consequence of
            /// others.
            fn most(self) -> i64 {
                match self { $(Self::$name => $most,)* }
            }
        }
    };
}

faults! {
    Capacity "capacity" 500
    RegionDry "region dry" 500
    Quota "quota" 1000
    Unsupported "unsupported" 1000
    Throttled "cloud throttles" 200
    CloudDown "cloud down" 300
    CloudSilent "cloud call fails" 200
    AnswerLost "launched but no answer" 300
    Slow "slow calls" 300
    ShowsLate "shows late" 500
    ShowsDead "dead still shows running" 300
    DeleteStuck "delete never completes" 200
    TagsRemoved "tags removed" 100
    BootsSlowly "boots slowly" 300
    NeverBoots "never boots" 250
    NoNetwork "no network" 250
    RegistrationGone "registration gone before the runner" 150
    RunnerVanishes "idle runner vanishes" 300
    ShowsIdle "busy runner shown offline" 300
    Dies "machine dies" 12
    Hangs "machine hangs" 8
    NoNotice "taken back without notice" 700
    Rebalance "rebalance without interruption" 300
    TakenBack "taken back by chance" 20
    PriceJump "price jumps" 30
    GitHubDown "GitHub down" 300
    GitHubFails "GitHub call fails" 200
    GitHubLimits "GitHub rate limit" 150
    GitHubAnswerLost "registered but no answer" 200
    NotAssigned "GitHub assigns nothing" 300
    WebhookLost "webhook lost" 500
    WebhookTwice "webhook twice" 300
    WebhookLate "webhook late" 500
    ApprovalTwice "approval queues twice" 200
    Held "job announced that cannot run" 200
    Cancelled "job cancelled" 100
    Fork "job from a fork" 1000
    OtherEvent "job of an event that no spec takes" 1000
    OtherActor "job of a person whom no spec serves" 1000
    OtherRepository "job of a repository that no spec serves" 1000
    Poor "job of a repository without money" 1000
    HandMade "machine made by hand" 200
    HandKilled "machine killed by hand" 60
    ClockStep "clock steps" 300
    ClockWrong "clock wrong by hours or days" 300
    Crash "crash" 8
    CrashAtWrite "crash at a write" 60
    Pause "process pauses" 4
    JournalBusy "journal busy" 60
    TwoControllers "two controllers" 1000
    Overtaken "overtaken by another process" 300
    BucketEmpty "small token buckets run empty" 1000
    QueueLimit "queue limit reached" 1000
    NoLabels "job without labels" 150
    ListShort "runner missing from one list" 300
    RunnerLeaves "runner ends without a job" 150
    OtherController "machine of another controller" 300
    RegionFails "region fails as a whole" 400
    RegionDenied "region not enabled" 1000
    LaunchDenied "launches denied in a region" 1000
    TypeDenied "launches denied of a type" 1000
    RequestRefused "request not taken for a while" 150
    MoreDisks "image with more disks" 1000
    TwoTypes "two types of one quota, two quotas of one letter" 1000
    // Not drawn: these are consequences of other faults, and must be observed too.
    Stolen "stolen runner" 0
    WrittenByAnother "refused: another process has written" 0
    RerunRefused "re-run refused while the run is active" 0
    Rerun "re-run" 0
    OnDemand "fell back to on-demand" 0
    OtherZone "fell back to another zone" 0
    OtherRegion "fell back to another region" 0
    FirstHourFree "first hour free" 0
    OverBudget "refused by budget" 0
    BusyRefused "removal refused: a job came" 0
    Warm "kept warm" 0
}

/// The armed faults, and how often each has fired.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    rates: BTreeMap<Fault, i64>,
    pub(crate) met: BTreeMap<Fault, u64>,
}

impl Faults {
    /// Draws the armed faults for a seed; one in twenty has none at all.
    pub(crate) fn draw(chance: &mut Rng) -> Self {
        let mut faults = Self::default();
        if chance.per_mille(50) {
            return faults;
        }
        for fault in Fault::ALL.iter().copied().filter(|fault| fault.most() > 0) {
            if chance.per_mille(250) {
                faults.rates.insert(fault, 1 + chance.below(fault.most()));
            }
        }
        faults
    }

    pub(crate) fn only(armed: &[(Fault, i64)]) -> Self {
        Self { rates: armed.iter().copied().collect(), met: BTreeMap::new() }
    }

    /// Returns true for a history without any fault.
    pub(crate) fn none(&self) -> bool {
        self.rates.is_empty()
    }

    pub(crate) fn is_armed(&self, fault: Fault) -> bool {
        self.rates.contains_key(&fault)
    }

    /// Decides by chance whether an armed fault fires.
    pub(crate) fn fires(&mut self, fault: Fault, chance: &mut Rng) -> bool {
        let fires = self.rates.get(&fault).is_some_and(|rate| chance.per_mille(*rate));
        if fires {
            self.meet(fault);
        }
        fires
    }

    pub(crate) fn meet(&mut self, fault: Fault) {
        *self.met.entry(fault).or_default() += 1;
    }

    /// Disarms all faults.
    pub(crate) fn calm(&mut self) {
        self.rates.clear();
    }
}
