//! The derivatives of ln Γ, as far as the distribution of variances needs them.

/// ψ(x), the derivative of ln Γ(x), for x > 0: the recurrence ψ(x) = ψ(x + 1) − 1 / x up to where the asymptotic series
/// holds twelve digits (NIST Digital Library of Mathematical Functions, 5.5.2 and 5.11.2).
pub(super) fn digamma(x: f64) -> f64 {
    let (x, below) = raised(x, |x| -1.0 / x);
    let square = 1.0 / (x * x);
    below + x.ln() - 0.5 / x - square * (1.0 / 12.0 - square * (1.0 / 120.0 - square * (1.0 / 252.0 - square / 240.0)))
}

/// ψ′(x) for x > 0, in the same way (DLMF 5.15.5 and 5.15.8).
pub(super) fn trigamma(x: f64) -> f64 {
    let (x, below) = raised(x, |x| 1.0 / (x * x));
    let square = 1.0 / (x * x);
    let series = 1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0));
    below + 1.0 / x + 0.5 * square + square / x * series
}

/// The x with ψ′(x) = `value` > 0. ψ′ falls, so the logarithm of x is found by bisection.
pub(super) fn inverse_trigamma(value: f64) -> f64 {
    let (mut low, mut high) = (-20.0_f64, 20.0_f64);
    for _ in 0..80 {
        let middle = (low + high) / 2.0;
        if trigamma(middle.exp()) > value {
            low = middle;
        } else {
            high = middle;
        }
    }
    ((low + high) / 2.0).exp()
}

fn raised(mut x: f64, step: impl Fn(f64) -> f64) -> (f64, f64) {
    let mut sum = 0.0;
    while x < 12.0 {
        sum += step(x);
        x += 1.0;
    }
    (x, sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_known_values() {
        const EULER: f64 = 0.577_215_664_901_532_9;
        let pi_squared = std::f64::consts::PI.powi(2);
        let close = |got: f64, want: f64| assert!((got - want).abs() < 1e-11, "{got} for {want}");
        close(digamma(1.0), -EULER);
        close(digamma(0.5), -EULER - 2.0 * std::f64::consts::LN_2);
        close(digamma(10.0), 2.251_752_589_066_721);
        close(trigamma(1.0), pi_squared / 6.0);
        close(trigamma(0.5), pi_squared / 2.0);
        close(trigamma(2.0), pi_squared / 6.0 - 1.0);
    }

    #[test]
    fn the_inverse_leads_back() {
        for x in [0.01, 0.5, 1.0, 7.3, 400.0] {
            assert!((inverse_trigamma(trigamma(x)) / x - 1.0).abs() < 1e-9, "{x}");
        }
    }
}
