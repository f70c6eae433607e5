//! The direction of a metric by the words in its name: `val_loss`, `top1_acc`, `train.loss`.

use crate::direction::Direction;

const HIGHER: &[&str] = &[
    "acc",
    "accuracy",
    "ap",
    "auc",
    "auprc",
    "auroc",
    "bertscore",
    "bleu",
    "chrf",
    "cider",
    "correct",
    "dice",
    "f1",
    "fps",
    "fscore",
    "gmean",
    "hits",
    "iou",
    "jaccard",
    "kappa",
    "map",
    "mcc",
    "meteor",
    "miou",
    "mrr",
    "ndcg",
    "npv",
    "pearson",
    "ppv",
    "precision",
    "psnr",
    "r2",
    "recall",
    "reward",
    "rouge",
    "sensitivity",
    "silhouette",
    "spearman",
    "specificity",
    "ssim",
    "throughput",
    "tnr",
    "tpr",
];

const LOWER: &[&str] = &[
    "bpc",
    "brier",
    "cer",
    "cost",
    "crossentropy",
    "duration",
    "ece",
    "elapsed",
    "eer",
    "entropy",
    "err",
    "error",
    "errors",
    "fid",
    "flops",
    "fnr",
    "fpr",
    "kld",
    "latency",
    "logloss",
    "loss",
    "losses",
    "lpips",
    "mae",
    "mape",
    "memory",
    "mse",
    "msle",
    "nll",
    "perplexity",
    "ppl",
    "regret",
    "rmse",
    "rmsle",
    "runtime",
    "seconds",
    "smape",
    "ter",
    "time",
    "wer",
];

/// After one of these words, the words before it are ignored: `accuracy_std`, `loss_weight`, `time_step`.
const NEITHER: &[&str] = &[
    "count",
    "decay",
    "epoch",
    "epochs",
    "id",
    "index",
    "iteration",
    "n",
    "num",
    "number",
    "scale",
    "seed",
    "sem",
    "std",
    "stddev",
    "stdev",
    "step",
    "steps",
    "support",
    "threshold",
    "timestamp",
    "total",
    "var",
    "variance",
    "version",
    "weight",
    "weights",
];

/// For the size of these less is better; for the size of a batch or a vocabulary it is not.
const SIZED: &[&str] = &["artifact", "binary", "checkpoint", "disk", "download", "file", "image", "model"];

const TIME_UNITS: &[&str] = &["s", "sec", "second", "seconds", "min", "minute", "minutes", "hour", "h"];

/// Number of parts of a dotted name, from its end, that are examined.
const PARTS: usize = 2;

/// Returns the direction of the last known word in the last two parts; positions in lists are not parts.
pub(crate) fn direction(name: &str) -> Option<Direction> {
    let is_position = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = name.rsplit('.').filter(|part| !is_position(part)).take(PARTS);
    for part in parts {
        match of_part(part) {
            Told::Direction(direction) => return Some(direction),
            Told::Neither => return None,
            Told::Nothing => {}
        }
    }
    None
}

enum Told {
    Direction(Direction),
    Neither,
    Nothing,
}

fn of_part(part: &str) -> Told {
    let mut words: Vec<&str> = part.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    if let Some(at) = words.iter().position(|word| word.eq_ignore_ascii_case("per")) {
        let unit = words.get(at + 1).map(|word| word.to_lowercase()).unwrap_or_default();
        if TIME_UNITS.contains(&unit.as_str()) {
            return Told::Direction(Direction::Higher);
        }
        words.truncate(at);
    }
    for (at, word) in words.iter().enumerate().rev() {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).map(|word| word.to_lowercase());
        match of_word(word, before.as_deref()) {
            Told::Nothing => {}
            told => return told,
        }
    }
    Told::Nothing
}

fn of_word(word: &str, before: Option<&str>) -> Told {
    let folded = word.to_lowercase();
    if folded == "size" {
        return match before {
            Some(before) if !SIZED.contains(&before) => Told::Neither,
            _ => Told::Direction(Direction::Lower),
        };
    }
    // `f1` is a word as it is; of `map50` and `rouge1` the digits are removed; `valLoss` and `rougeL` consist of
    // several words.
    let without_digits = folded.trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
    let candidates = [folded, without_digits].into_iter().chain(humps(word).into_iter().rev());
    for candidate in candidates {
        let is_in = |words: &[&str]| words.contains(&candidate.as_str());
        if is_in(HIGHER) {
            return Told::Direction(Direction::Higher);
        } else if is_in(LOWER) {
            return Told::Direction(Direction::Lower);
        } else if is_in(NEITHER) {
            return Told::Neither;
        }
    }
    Told::Nothing
}

/// Returns the words of `camelCase`, in lower case.
fn humps(word: &str) -> Vec<String> {
    let mut humps: Vec<String> = Vec::new();
    let mut after_lower = true;
    for c in word.chars() {
        match humps.last_mut() {
            Some(hump) if !(c.is_uppercase() && after_lower) => hump.extend(c.to_lowercase()),
            _ => humps.push(c.to_lowercase().collect()),
        }
        after_lower = !c.is_uppercase();
    }
    humps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_name_tell_its_direction() {
        for name in [
            "accuracy",
            "val_acc",
            "top1_acc",
            "test.accuracy",
            "roc_auc",
            "f1",
            "f1_score",
            "f1-score",
            "mAP",
            "mAP50-95",
            "map50",
            "rougeL",
            "rouge1",
            "bleu4",
            "recall@5",
            "layers.0.acc",
            "acc.0",
            "accuracy.mean",
            "valAccuracy",
            "train_samples_per_second",
            "macro avg.precision",
            "R2",
            "mIoU",
        ] {
            assert_eq!(direction(name), Some(Direction::Higher), "{name}");
        }
        for name in [
            "loss",
            "val_loss",
            "train.loss",
            "loss.val",
            "valLoss",
            "error",
            "error_rate",
            "MSE",
            "rmse",
            "mae",
            "perplexity",
            "latency_ms",
            "epoch_time",
            "train_seconds",
            "model_size",
            "size",
            "eval_runtime",
            "seconds_per_epoch",
            "brier_score",
            "logLoss",
        ] {
            assert_eq!(direction(name), Some(Direction::Lower), "{name}");
        }
    }

    #[test]
    fn names_that_tell_nothing_have_no_direction() {
        for name in [
            "",
            "epoch",
            "learning_rate",
            "batch_size",
            "vocab_size",
            "accuracy_std",
            "loss_weight",
            "precision.support",
            "params",
            "accuracy.by_class.cat",
            "glossary",
            "0",
            "...",
            "train.x",
            "time_step",
            "é_è",
        ] {
            assert_eq!(direction(name), None, "{name}");
        }
    }
}
