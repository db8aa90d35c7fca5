//! Student's t distribution, as far as intervals need it.

/// Degrees of freedom at which Student's distribution is the normal one for every purpose here.
pub(super) const NORMAL: f64 = 1e9;

/// P(|T| > t) for t ≥ 0 and `degrees` > 0 degrees of freedom.
pub(super) fn outside_probability(t: f64, degrees: f64) -> f64 {
    incomplete_beta(degrees / 2.0, 0.5, degrees / (degrees + t * t))
}

/// The t with P(|T| ≤ t) = `confidence` for `degrees` > 0 degrees of freedom, fractions allowed (Welch).
///
/// P(|T| > t) is the regularised incomplete beta function I_x(ν/2, 1/2) at x = ν / (ν + t²) (NIST Digital Library of
/// Mathematical Functions, 8.17); it rises with x, so x is found by bisection.
pub(super) fn two_sided_t(confidence: f64, degrees: f64) -> f64 {
    let outside = 1.0 - confidence;
    let (mut low, mut high) = (0.0, 1.0);
    // 60 halvings use up the mantissa.
    for _ in 0..60 {
        let x = (low + high) / 2.0;
        if incomplete_beta(degrees / 2.0, 0.5, x) < outside {
            low = x;
        } else {
            high = x;
        }
    }
    (degrees * (1.0 - high) / high).sqrt()
}

/// I_x(a, b) for x in [0, 1].
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    // The continued fraction converges fast below the mean only; above it, use I_x(a, b) = 1 − I_{1−x}(b, a).
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    if x <= 0.0 {
        return 0.0;
    }
    let ln_front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln();
    ln_front.exp() / (a * beta_fraction(a, b, x))
}

/// The denominator of DLMF 8.17.22, by the modified Lentz algorithm (I. J. Thompson and A. R. Barnett, "Coulomb and
/// Bessel functions of complex arguments and order", Journal of Computational Physics 64, 1986).
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let (mut value, mut c, mut d) = (1.0f64, 1.0f64, 0.0f64);
    for step in 1..500 {
        let m = f64::from(step / 2);
        let numerator = if step % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 + numerator * d;
        d = if d.abs() < TINY { 1.0 / TINY } else { 1.0 / d };
        c = 1.0 + numerator / c;
        if c.abs() < TINY {
            c = TINY;
        }
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-14 {
            break;
        }
    }
    value
}

/// ln Γ(x) for x > 0, about 15 digits (C. Lanczos, "A precision approximation of the gamma function", SIAM Journal on
/// Numerical Analysis 1, 1964; coefficients for g = 7, n = 9 by P. Godfrey).
fn ln_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const REST: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    // The series is for Γ(z + 1); one step of the recurrence keeps it accurate near zero.
    let z = x;
    let series = REST.iter().enumerate().fold(FIRST, |sum, (i, c)| sum + c / (z + i as f64 + 1.0));
    let t = z + G + 0.5;
    0.5 * (2.0 * std::f64::consts::PI).ln() + (z + 0.5) * t.ln() - t + series.ln() - z.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_printed_tables() {
        let table = [
            (0.95, 1.0, 12.7062),
            (0.95, 2.0, 4.302_65),
            (0.95, 4.0, 2.776_45),
            (0.95, 9.0, 2.262_16),
            (0.95, 30.0, 2.042_27),
            (0.99, 4.0, 4.604_09),
            (0.90, 10.0, 1.812_46),
            (0.95, 1e6, 1.959_97),
        ];
        for (confidence, degrees, want) in table {
            let got = two_sided_t(confidence, degrees);
            assert!((got - want).abs() < 1e-4, "t({confidence}, {degrees}) = {got}, not {want}");
        }
    }

    #[test]
    fn fractional_degrees_lie_between_their_neighbours() {
        let (below, between, above) = (two_sided_t(0.95, 2.0), two_sided_t(0.95, 2.5), two_sided_t(0.95, 3.0));
        assert!(above < between && between < below);
    }

    #[test]
    fn gamma_of_whole_and_half_numbers() {
        assert!(ln_gamma(1.0).abs() < 1e-13);
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-13);
        assert!((ln_gamma(11.0) - 3_628_800f64.ln()).abs() < 1e-12);
    }
}
