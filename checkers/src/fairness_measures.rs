//! Measures of how evenly something is shared.

use statrs::function::gamma::checked_gamma_ur;

/// Jain's index `(sum x)^2 / (n * sum x^2)` over all `n` shares, zeros included: from 1/n (one has all) to 1 (all equal).
/// Jain, Chiu and Hawe, "A Quantitative Measure of Fairness", DEC-TR-301, 1984. `None` if there is nothing to share.
#[must_use]
pub fn jain(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    (squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}

/// The largest share over the mean: 1 if all are equal. `None` if there is nothing to share.
#[must_use]
pub fn max_over_mean(shares: &[f64]) -> Option<f64> {
    let sum: f64 = shares.iter().sum();
    let max = shares.iter().copied().fold(0.0, f64::max);
    (sum > 0.0).then(|| max * shares.len() as f64 / sum)
}

/// Pearson's chi-square test: the probability that independent draws with these probabilities deviate at least as much.
/// `None` if there is nothing to test: fewer than two possible outcomes, or one that is expected less than 5 times.
#[must_use]
pub fn chi_square_p(observed: &[u64], probabilities: &[f64]) -> Option<f64> {
    let total = observed.iter().sum::<u64>() as f64;
    let cells = || observed.iter().zip(probabilities);
    if cells().any(|(seen, p)| *p <= 0.0 && *seen > 0) {
        return Some(0.0);
    }
    let possible = || cells().filter(|(_, p)| **p > 0.0);
    let count = possible().count();
    if count < 2 || possible().any(|(_, p)| p * total < 5.0) {
        return None;
    }
    let term = |(seen, p): (&u64, &f64)| (*seen as f64 - p * total).powi(2) / (p * total);
    let statistic: f64 = possible().map(term).sum();
    if statistic <= 0.0 {
        return Some(1.0);
    }
    // The survival function of chi-square with k degrees of freedom is Q(k/2, x/2).
    checked_gamma_ur((count - 1) as f64 / 2.0, statistic / 2.0).ok()
}

/// The largest difference between an observed and an intended share, from 0 to 1. `None` without observations.
#[must_use]
pub fn deviation(observed: &[u64], shares: &[f64]) -> Option<f64> {
    let total = observed.iter().sum::<u64>() as f64;
    let differences = observed.iter().zip(shares).map(|(seen, p)| (*seen as f64 / total - p).abs());
    (total > 0.0).then(|| differences.fold(0.0, f64::max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: Option<f64>, expected: f64) {
        let value = value.expect("a value");
        assert!((value - expected).abs() < 1e-4 * expected.max(1e-3), "{value} is not {expected}");
    }

    #[test]
    fn jain_has_the_published_properties() {
        // The report's example: 20 of 100 users get everything evenly, so the index is 0.2.
        let twenty: Vec<f64> = (0..100).map(|user| f64::from(u8::from(user < 20))).collect();
        near(jain(&twenty), 0.2);
        near(jain(&[3.0, 3.0, 3.0]), 1.0);
        near(jain(&[1.0, 0.0, 0.0, 0.0]), 0.25);
        // By hand: 4^2 / (3 * (2^2 + 1 + 1)) = 16/18.
        near(jain(&[2.0, 1.0, 1.0]), 16.0 / 18.0);
        assert_eq!(jain(&[0.0, 0.0]), None);
    }

    #[test]
    fn max_over_mean_by_hand() {
        near(max_over_mean(&[2.0, 1.0, 1.0]), 1.5);
        near(max_over_mean(&[1.0, 1.0]), 1.0);
        assert_eq!(max_over_mean(&[]), None);
    }

    #[test]
    fn chi_square_agrees_with_published_values() {
        // The 5 % and 1 % points of the usual tables: 3.841 and 6.635 for 1 degree, 5.991 for 2, 9.488 for 4.
        let two = |x: f64| {
            // Two cells of 1/2 with n draws: statistic = (a - b)^2 / n.
            let n = 1_000_000.0_f64;
            let difference = (x * n).sqrt();
            let a = ((n + difference) / 2.0).round() as u64;
            chi_square_p(&[a, 1_000_000 - a], &[0.5, 0.5])
        };
        assert!((two(3.841).expect("p") - 0.05).abs() < 1e-3);
        assert!((two(6.635).expect("p") - 0.01).abs() < 1e-3);
        // Two degrees: Q(1, x/2) = exp(-x/2), so 60 draws of (30, 15, 15) with x = 7.5 give exp(-3.75).
        near(chi_square_p(&[30, 15, 15], &[1.0 / 3.0; 3]), (-3.75_f64).exp());
        near(chi_square_p(&[20, 20, 20], &[1.0 / 3.0; 3]), 1.0);
    }

    #[test]
    fn an_impossible_outcome_is_certain_and_too_few_draws_tell_nothing() {
        assert_eq!(chi_square_p(&[10, 1], &[1.0, 0.0]), Some(0.0));
        assert_eq!(chi_square_p(&[4, 4], &[0.5, 0.5]), None);
        assert_eq!(chi_square_p(&[40, 0], &[1.0, 0.0]), None);
    }

    #[test]
    fn deviation_by_hand() {
        near(deviation(&[50, 25, 25], &[1.0 / 3.0; 3]), 1.0 / 6.0);
        assert_eq!(deviation(&[0, 0], &[0.5, 0.5]), None);
    }
}
