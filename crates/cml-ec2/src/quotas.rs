//! The account's vCPU quotas that types count against, with AWS's names.
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-instance-quotas.html>,
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-spot-limits.html>

use cml_cloud::Market;

/// A quota of Service Quotas; code and name are the same in every account and region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceQuota {
    /// `L-DB2E81BA`.
    pub code: &'static str,
    /// `Running On-Demand G and VT instances`.
    pub name: &'static str,
}

const fn quota(code: &'static str, name: &'static str) -> ServiceQuota {
    ServiceQuota { code, name }
}

/// Types that share a quota in each market.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaClass {
    /// `G and VT`, as AWS calls them.
    pub name: &'static str,
    on_demand: ServiceQuota,
    /// `None`: AWS has no quota of its own for them on the spot market, or none that is known here.
    spot: Option<ServiceQuota>,
}

const ON_DEMAND_P: ServiceQuota = quota("L-417A185B", "Running On-Demand P instances");

const STANDARD: QuotaClass = QuotaClass {
    name: "Standard (A, C, D, H, I, M, R, T, Z)",
    on_demand: quota("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
    spot: Some(quota("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests")),
};
const GRAPHICS: QuotaClass = QuotaClass {
    name: "G and VT",
    on_demand: quota("L-DB2E81BA", "Running On-Demand G and VT instances"),
    spot: Some(quota("L-3819A6DF", "All G and VT Spot Instance Requests")),
};
/// On-demand, all P types share one quota; on the spot market P5 has its own.
const P5: QuotaClass = QuotaClass {
    name: "P5",
    on_demand: ON_DEMAND_P,
    spot: Some(quota("L-C4BD4855", "All P5 Spot Instance Requests")),
};
const P4_AND_BEFORE: QuotaClass = QuotaClass {
    name: "P",
    on_demand: ON_DEMAND_P,
    spot: Some(quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests")),
};
/// P6 and later.
const P_OTHERS: QuotaClass = QuotaClass { name: "P", on_demand: ON_DEMAND_P, spot: None };
const TRAINIUM: QuotaClass = QuotaClass {
    name: "Trn",
    on_demand: quota("L-2C3B7624", "Running On-Demand Trn instances"),
    spot: Some(quota("L-6B0D517C", "All Trn Spot Instance Requests")),
};
const INFERENTIA: QuotaClass = QuotaClass {
    name: "Inf",
    on_demand: quota("L-1945791B", "Running On-Demand Inf instances"),
    spot: Some(quota("L-B5D1601B", "All Inf Spot Instance Requests")),
};
const DEEP_LEARNING: QuotaClass = QuotaClass {
    name: "DL",
    on_demand: quota("L-6E869C2A", "Running On-Demand DL instances"),
    spot: Some(quota("L-85EED4F7", "All DL Spot Instance Requests")),
};
const FPGA: QuotaClass = QuotaClass {
    name: "F",
    on_demand: quota("L-74FC7D96", "Running On-Demand F instances"),
    spot: Some(quota("L-88CF9481", "All F Spot Instance Requests")),
};
const MEMORY: QuotaClass = QuotaClass {
    name: "X",
    on_demand: quota("L-7295265B", "Running On-Demand X instances"),
    spot: Some(quota("L-E3A00192", "All X Spot Instance Requests")),
};
const HIGH_MEMORY: QuotaClass = QuotaClass {
    name: "High Memory",
    on_demand: quota("L-43DA4232", "Running On-Demand High Memory instances"),
    spot: None,
};
const HPC: QuotaClass =
    QuotaClass { name: "HPC", on_demand: quota("L-F7808C92", "Running On-Demand HPC instances"), spot: None };

impl QuotaClass {
    /// Returns the quota class of a type; `None` for types that are not sold by the vCPU (`mac`) and unknown ones.
    #[must_use]
    pub fn of(instance_type: &str) -> Option<Self> {
        // `p5en.48xlarge` is of family `p`, generation `5`.
        let family: String = instance_type.chars().take_while(char::is_ascii_lowercase).collect();
        let generation: String =
            instance_type.chars().skip(family.len()).take_while(char::is_ascii_digit).collect();
        Some(match (family.as_str(), generation.as_str()) {
            ("g" | "gr" | "vt", _) => GRAPHICS,
            ("p", "5") => P5,
            ("p", "2" | "3" | "4") => P4_AND_BEFORE,
            ("p", _) => P_OTHERS,
            ("trn", _) => TRAINIUM,
            ("inf", _) => INFERENTIA,
            ("dl", _) => DEEP_LEARNING,
            ("f", _) => FPGA,
            ("x", _) => MEMORY,
            ("u", _) => HIGH_MEMORY,
            ("hpc", _) => HPC,
            // `im4gn`, `is4gen` and similar types count as their first letter.
            ("a" | "c" | "d" | "h" | "i" | "im" | "is" | "m" | "r" | "t" | "z", _) => STANDARD,
            _ => return None,
        })
    }

    /// Returns the quota that the types count against in a market.
    #[must_use]
    pub fn quota(self, market: Market) -> Option<ServiceQuota> {
        match market {
            Market::Spot => self.spot,
            Market::OnDemand => Some(self.on_demand),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cml_prices::catalog;

    #[test]
    fn each_type_counts_for_the_class_that_aws_says() {
        for (kind, class) in [
            ("g5.xlarge", "G and VT"),
            ("gr6.4xlarge", "G and VT"),
            ("g4dn.xlarge", "G and VT"),
            ("vt1.3xlarge", "G and VT"),
            ("p4d.24xlarge", "P"),
            ("p5.48xlarge", "P5"),
            ("p5en.48xlarge", "P5"),
            ("p6-b200.48xlarge", "P"),
            ("inf2.xlarge", "Inf"),
            ("i4i.large", "Standard (A, C, D, H, I, M, R, T, Z)"),
            ("im4gn.large", "Standard (A, C, D, H, I, M, R, T, Z)"),
            ("trn1.2xlarge", "Trn"),
            ("t3.micro", "Standard (A, C, D, H, I, M, R, T, Z)"),
            ("x2idn.16xlarge", "X"),
            ("dl1.24xlarge", "DL"),
            ("d3.xlarge", "Standard (A, C, D, H, I, M, R, T, Z)"),
            ("hpc7a.96xlarge", "HPC"),
            ("u-6tb1.112xlarge", "High Memory"),
            ("u7i-12tb.224xlarge", "High Memory"),
            ("m7i.2xlarge", "Standard (A, C, D, H, I, M, R, T, Z)"),
        ] {
            assert_eq!(QuotaClass::of(kind).map(|class| class.name), Some(class), "{kind}");
        }
        for kind in ["mac2.metal", "", "q9.large"] {
            assert_eq!(QuotaClass::of(kind), None, "{kind}");
        }
    }

    #[test]
    fn every_type_of_the_table_but_macs_counts_against_a_quota() {
        for facts in catalog::all().iter().filter(|facts| !facts.name.starts_with("mac")) {
            let class = QuotaClass::of(&facts.name);
            assert!(class.and_then(|class| class.quota(Market::OnDemand)).is_some(), "{}", facts.name);
        }
    }

    #[test]
    fn p5_has_a_quota_of_its_own_on_the_spot_market_only() {
        let of =
            |kind: &str, market| QuotaClass::of(kind).and_then(|class| class.quota(market)).map(|it| it.code);
        assert_eq!(of("p4d.24xlarge", Market::OnDemand), of("p5.48xlarge", Market::OnDemand));
        assert_ne!(of("p4d.24xlarge", Market::Spot), of("p5.48xlarge", Market::Spot));
        assert_eq!(of("p6-b200.48xlarge", Market::Spot), None);
    }
}
