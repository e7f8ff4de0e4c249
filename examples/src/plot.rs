//! Line plots as SVG text: panels side by side, each with axes, ticks and a legend.

/// How values are spread over an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm. Values that have none are drawn at the lower edge.
    Log,
}

/// A line through points, which may be a single one.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its entry in the legend.
    pub label: String,
    /// Pairs of x and y, in order. Those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Whether it is something to compare with, drawn dashed and grey, rather than data.
    pub reference: bool,
}

impl Curve {
    /// A line of data.
    pub fn new(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Curve { label: label.into(), points: points.into_iter().collect(), reference: false }
    }

    /// A line to compare data with.
    pub fn reference(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Curve { reference: true, ..Curve::new(label, points) }
    }
}

/// One plot.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// What x is.
    pub x_label: String,
    /// What y is.
    pub y_label: String,
    /// How y is spread; x is spread evenly.
    pub y_scale: Scale,
    /// What is drawn.
    pub curves: Vec<Curve>,
}

/// The size of a panel without its legend.
const SIZE: (f64, f64) = (560.0, 400.0);
/// What its frame leaves free on the left, for the ticks of y, and on the right.
const SIDES: (f64, f64) = (76.0, 24.0);
/// What its frame leaves free at the top, for the title, and at the bottom, for the ticks of x.
const ENDS: (f64, f64) = (44.0, 58.0);
/// The height of a row of the legend, between the title and the frame.
const ROW: f64 = 18.0;

/// Colours that the colour-blind can tell apart (Okabe and Ito, 2008), in turn.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288"];
const GREY: &str = "#777";

/// A picture of the panels, side by side.
pub fn svg(panels: &[Panel]) -> String {
    // Frames stand in line, whatever the length of their legends.
    let rows = panels.iter().map(|panel| legend(panel).1).max().unwrap_or(0) as f64;
    let (width, height) = (SIZE.0 * panels.len() as f64, SIZE.1 + rows * ROW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (k, panel) in (0u32..).zip(panels) {
        svg += &format!("<g transform=\"translate({} 0)\">\n", f64::from(k) * SIZE.0);
        draw(panel, ENDS.0 + rows * ROW, height, &mut svg);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

fn draw(panel: &Panel, top: f64, height: f64, svg: &mut String) {
    let (left, right, bottom) = (SIDES.0, SIZE.0 - SIDES.1, height - ENDS.1);
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let x_axis = Axis::new(Scale::Linear, points().map(|&(x, _)| x));
    let y_axis = Axis::new(panel.y_scale, points().map(|&(_, y)| y));
    let x_at = |x: f64| left + (right - left) * x_axis.place(x);
    let y_at = |y: f64| bottom + (top - bottom) * y_axis.place(y);
    let middle = (left + right) / 2.0;

    let mut text = |x: f64, y: f64, style: &str, what: &str| {
        *svg += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{}</text>\n", escaped(what));
    };
    text(left, 26.0, "font-size=\"15\" font-weight=\"bold\"", &panel.title);
    text(middle, height - 16.0, "text-anchor=\"middle\"", &panel.x_label);
    let side = (top + bottom) / 2.0;
    text(18.0, side, &format!("text-anchor=\"middle\" transform=\"rotate(-90 18 {side})\""), &panel.y_label);
    for (x, label) in &x_axis.ticks {
        text(x_at(*x), bottom + 18.0, "text-anchor=\"middle\"", label);
    }
    for (y, label) in &y_axis.ticks {
        text(left - 8.0, y_at(*y) + 4.0, "text-anchor=\"end\"", label);
    }

    for (x, _) in &x_axis.ticks {
        *svg += &segment((x_at(*x), top), (x_at(*x), bottom), "#e6e6e6");
    }
    for (y, _) in &y_axis.ticks {
        *svg += &segment((left, y_at(*y)), (right, y_at(*y)), "#e6e6e6");
    }
    let (entries, _) = legend(panel);
    for ((curve, pen), (x, row)) in panel.curves.iter().zip(pens(panel)).zip(entries) {
        let finite = curve.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let places: Vec<(f64, f64)> = finite.map(|&(x, y)| (x_at(x), y_at(y))).collect();
        if let [(x, y)] = places[..] {
            // A line through one point is invisible.
            *svg +=
                &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" {}/>\n", pen.replace("none", "white"));
        } else {
            let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            *svg += &format!("<polyline points=\"{}\" {pen}/>\n", path.join(" "));
        }
        let y = ENDS.0 + ROW * row as f64;
        *svg += &format!("<polyline points=\"{x},{y} {},{y}\" {pen}/>\n", x + 20.0);
        *svg += &format!("<text x=\"{}\" y=\"{}\">{}</text>\n", x + 26.0, y + 4.0, escaped(&curve.label));
    }
    *svg += &format!(
        "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{GREY}\"/>\n",
        right - left,
        bottom - top
    );
}

/// Where the legend's entries begin, as x and a row, and the number of rows.
fn legend(panel: &Panel) -> (Vec<(f64, usize)>, usize) {
    let (mut x, mut row) = (SIDES.0, 0);
    let mut entries = Vec::new();
    for curve in &panel.curves {
        // The width of the text is not known before it is drawn; letters are about so wide.
        let width = 44.0 + 6.2 * curve.label.chars().count() as f64;
        if x > SIDES.0 && x + width > SIZE.0 {
            (x, row) = (SIDES.0, row + 1);
        }
        entries.push((x, row));
        x += width;
    }
    (entries, if panel.curves.is_empty() { 0 } else { row + 1 })
}

/// The attributes with which each curve is drawn.
fn pens(panel: &Panel) -> impl Iterator<Item = String> {
    let mut colours = COLOURS.iter().cycle();
    panel.curves.iter().map(move |curve| {
        let (colour, more) = match curve.reference {
            true => (GREY, "stroke-dasharray=\"6 4\""),
            false => (*colours.next().unwrap_or(&GREY), "stroke-linejoin=\"round\""),
        };
        format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" {more}")
    })
}

fn segment(from: (f64, f64), to: (f64, f64), colour: &str) -> String {
    let ((x1, y1), (x2, y2)) = (from, to);
    format!("<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"{colour}\"/>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An axis: where it begins and ends, and what is marked on it.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
    ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis on which all values have a place; it begins and ends at a tick.
    fn new(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let drawn = values.filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0));
        let (low, high) = drawn
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (value.min(low), value.max(high)));
        let (low, high) = if low <= high { (low, high) } else { (1.0, 1.0) };
        let ticks = match scale {
            Scale::Linear => linear_ticks(low, high),
            Scale::Log => log_ticks(low, high),
        };
        let low = ticks.first().map_or(low, |tick| tick.0);
        let high = ticks.last().map_or(high, |tick| tick.0);
        Axis { scale, low, high, ticks }
    }

    /// The place of a value: 0 where the axis begins, 1 where it ends.
    fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            // `max` also takes the lower edge in place of a NaN.
            Scale::Log => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
        }
    }
}

/// A linear axis has about so many intervals.
const INTERVALS: f64 = 5.0;

/// A logarithmic axis has at most so many intervals.
const DECADES: i32 = 8;

/// Ticks at multiples of 1, 2 or 5 times a power of ten, from `low` or below to `high` or above.
///
/// ```
/// let ticks = pullback_examples::plot::linear_ticks(0.1, 1.9);
/// let labels: Vec<_> = ticks.iter().map(|(_, label)| label.as_str()).collect();
/// assert_eq!(labels, ["0.0", "0.5", "1.0", "1.5", "2.0"]);
/// ```
pub fn linear_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    // Around a single value there still has to be an interval.
    let (low, high) = if low < high { (low, high) } else { (low, low + low.abs().max(1.0)) };
    let ideal = (high - low) / INTERVALS;
    let power = ideal.log10().floor();
    let step = [1.0, 2.0, 5.0, 10.0].map(|unit| unit * 10f64.powf(power));
    let step = step.into_iter().find(|step| *step >= 0.999 * ideal).unwrap_or(ideal);
    let decimals = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
    let (first, last) = ((low / step + 1e-9).floor() as i64, (high / step - 1e-9).ceil() as i64);
    // Multiples of the step, not sums of it: sums drift.
    (first..=last).map(|k| k as f64 * step).map(|tick| (tick, format!("{tick:.decimals$}"))).collect()
}

/// Ticks at powers of ten, from `low` or below to above `high`, both positive.
///
/// ```
/// let ticks = pullback_examples::plot::log_ticks(2e-3, 0.5);
/// let labels: Vec<_> = ticks.iter().map(|(_, label)| label.as_str()).collect();
/// assert_eq!(labels, ["10⁻³", "10⁻²", "10⁻¹", "1"]);
/// ```
pub fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let first = (low.log10() + 1e-9).floor() as i32;
    let last = (high.log10() + 1e-9).floor() as i32 + 1;
    let stride = ((last - first + DECADES - 1) / DECADES).max(1);
    let count = (last - first + stride - 1) / stride;
    let exponents = (0..=count).map(|k| first + k * stride);
    exponents.map(|k| (10f64.powi(k), power_of_ten(k))).collect()
}

fn power_of_ten(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = |c: char| c.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]);
    match exponent {
        0 => "1".into(),
        1 => "10".into(),
        _ => format!("10{}", exponent.to_string().chars().map(raised).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: Vec<(f64, String)>) -> String {
        ticks.into_iter().map(|(_, label)| label).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn linear_ticks_are_round_numbers_around_the_values() {
        let cases = [
            (0.0, 400.0, "0 100 200 300 400"),
            (0.0, 5.0, "0 1 2 3 4 5"),
            (-0.3, 0.3, "-0.4 -0.2 0.0 0.2 0.4"),
            (0.0, 0.031, "0.00 0.01 0.02 0.03 0.04"),
            (980.0, 1010.0, "980 990 1000 1010"),
            (0.0, 0.0, "0.0 0.2 0.4 0.6 0.8 1.0"),
        ];
        for (low, high, expected) in cases {
            assert_eq!(labels(linear_ticks(low, high)), expected, "{low} to {high}");
        }
    }

    #[test]
    fn log_ticks_are_powers_of_ten_and_not_too_many() {
        let cases = [
            (1e-3, 0.9, "10⁻³ 10⁻² 10⁻¹ 1"),
            (3e-16, 1e-12, "10⁻¹⁶ 10⁻¹⁵ 10⁻¹⁴ 10⁻¹³ 10⁻¹² 10⁻¹¹"),
            (7.0, 7.0, "1 10"),
            (10.0, 10.0, "10 10²"),
            (1e-20, 1.0, "10⁻²⁰ 10⁻¹⁷ 10⁻¹⁴ 10⁻¹¹ 10⁻⁸ 10⁻⁵ 10⁻² 10"),
        ];
        for (low, high, expected) in cases {
            assert_eq!(labels(log_ticks(low, high)), expected, "{low} to {high}");
        }
    }

    #[test]
    fn an_axis_holds_its_values() {
        let values = [0.013, 0.5, 7.1, 90.0];
        for scale in [Scale::Linear, Scale::Log] {
            let axis = Axis::new(scale, values.into_iter());
            let places = values.map(|value| axis.place(value));
            assert!(places.is_sorted() && places[0] >= 0.0 && places[3] <= 1.0, "{places:?}");
        }
        let log = Axis::new(Scale::Log, [0.0, 1e-3, 1.0, f64::NAN].into_iter());
        assert_eq!((log.place(0.0), log.place(10.0)), (0.0, 1.0));
        let nothing = Axis::new(Scale::Log, std::iter::empty());
        assert!(nothing.place(1.0).is_finite());
    }

    #[test]
    fn a_picture_escapes_its_texts_and_leaves_out_what_is_not_finite() {
        let panel = |points: &[(f64, f64)]| Panel {
            title: "a < b & c".into(),
            x_label: String::new(),
            y_label: String::new(),
            y_scale: Scale::Linear,
            curves: vec![Curve::new("data", points.to_vec())],
        };
        let svg = svg(&[panel(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 2.0)]), panel(&[])]);
        assert!(svg.contains("a &lt; b &amp; c"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }
}
