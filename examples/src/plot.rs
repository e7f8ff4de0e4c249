//! Plots as SVG text: panels in a grid, each with axes, ticks and a legend, for lines, points, bands and heights.

/// How values are spread over an axis.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm. Values that have none are drawn at the lower edge.
    Log,
}

/// How a curve is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// A line through the points, which may be a single one.
    Line,
    /// A dashed grey line: something to compare with, rather than data.
    Reference,
    /// The points, and nothing between them.
    Points,
    /// The area that they surround.
    Band,
}

/// Points that belong together.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its entry in the legend; it has none if this is empty.
    pub label: String,
    /// Pairs of x and y, in order. Those that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: Style,
    /// Which of the colours it has, if not the next.
    pub colour: Option<usize>,
}

impl Curve {
    /// A line of data.
    pub fn new(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        let points = points.into_iter().collect();
        Curve { label: label.into(), points, style: Style::Line, colour: None }
    }

    /// A line to compare data with.
    pub fn reference(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Curve { style: Style::Reference, ..Curve::new(label, points) }
    }

    /// Data that no line joins.
    pub fn scatter(label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        Curve { style: Style::Points, ..Curve::new(label, points) }
    }

    /// What lies between a lower and an upper edge: triples of x and both.
    pub fn band(label: impl Into<String>, edges: impl IntoIterator<Item = (f64, f64, f64)>) -> Self {
        let (mut points, mut upper) = (Vec::new(), Vec::new());
        for (x, low, high) in edges {
            points.push((x, low));
            upper.push((x, high));
        }
        points.extend(upper.into_iter().rev());
        Curve { style: Style::Band, ..Curve::new(label, points) }
    }

    /// The same in one of the colours, counted from 0: curves of one kind share theirs.
    pub fn coloured(self, colour: usize) -> Self {
        Curve { colour: Some(colour), ..self }
    }
}

/// A function of x and y on a grid, drawn as bands of colour below the curves. The axes begin and end where it does.
#[derive(Clone, Debug)]
pub struct Field {
    /// Where x begins and ends.
    pub x: (f64, f64),
    /// Where y begins and ends.
    pub y: (f64, f64),
    /// The values in the middle of each cell, by rows from the lowest y, each from the lowest x.
    pub rows: Vec<Vec<f64>>,
    /// What is between two neighbours has one colour; increasing.
    pub levels: Vec<f64>,
    /// What the colours are, in the legend.
    pub label: String,
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
    /// How x is spread.
    pub x_scale: Scale,
    /// How y is spread.
    pub y_scale: Scale,
    /// What is drawn below the curves.
    pub field: Option<Field>,
    /// What is drawn.
    pub curves: Vec<Curve>,
}

impl Panel {
    /// A panel with linear axes and nothing in it yet.
    pub fn new(title: impl Into<String>, x_label: impl Into<String>, y_label: impl Into<String>) -> Self {
        Panel {
            title: title.into(),
            x_label: x_label.into(),
            y_label: y_label.into(),
            x_scale: Scale::Linear,
            y_scale: Scale::Linear,
            field: None,
            curves: Vec::new(),
        }
    }
}

/// The slope of the line through `(ln x, ln y)` by least squares: the exponent of a power law.
///
/// ```
/// let points = [1.0, 2.0, 4.0].map(|x: f64| (x, 3.0 * x.powf(1.5)));
/// assert!((pullback_examples::plot::slope(&points) - 1.5).abs() < 1e-14);
/// ```
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let logs = || points.iter().map(|(x, y)| (x.ln(), y.ln()));
    let mean = |of: &dyn Fn((f64, f64)) -> f64| logs().map(of).sum::<f64>() / n;
    let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
    mean(&|p| (p.0 - x) * (p.1 - y)) / mean(&|p| (p.0 - x) * (p.0 - x))
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
/// The colours of a field, from the lowest band to the highest: red, green and blue.
const RAMP: [[f64; 3]; 5] = [
    [12.0, 44.0, 110.0],
    [34.0, 94.0, 168.0],
    [65.0, 160.0, 196.0],
    [160.0, 217.0, 190.0],
    [252.0, 252.0, 224.0],
];
/// The width of a band in the legend of a field.
const SWATCH: f64 = 12.0;

/// A picture of the panels, side by side.
pub fn svg(panels: &[Panel]) -> String {
    grid(panels, panels.len())
}

/// A picture of the panels, in rows of so many.
pub fn grid(panels: &[Panel], columns: usize) -> String {
    let columns = columns.clamp(1, panels.len().max(1));
    // Frames in a row stand in line, whatever the length of their legends.
    let legends = |row: &[Panel]| row.iter().map(|panel| legend(panel).1).max().unwrap_or(0) as f64 * ROW;
    let (mut body, mut y) = (String::new(), 0.0);
    for row in panels.chunks(columns) {
        let height = SIZE.1 + legends(row);
        for (k, panel) in (0u32..).zip(row) {
            body += &format!("<g transform=\"translate({} {y})\">\n", f64::from(k) * SIZE.0);
            draw(panel, ENDS.0 + legends(row), height, &mut body);
            body += "</g>\n";
        }
        y += height;
    }
    let width = SIZE.0 * columns as f64;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" \
         viewBox=\"0 0 {width} {y}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n{body}</svg>\n"
    )
}

fn draw(panel: &Panel, top: f64, height: f64, svg: &mut String) {
    let (left, right, bottom) = (SIDES.0, SIZE.0 - SIDES.1, height - ENDS.1);
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let x_axis = match &panel.field {
        Some(field) => Axis::between(field.x),
        None => Axis::new(panel.x_scale, points().map(|&(x, _)| x)),
    };
    let y_axis = match &panel.field {
        Some(field) => Axis::between(field.y),
        None => Axis::new(panel.y_scale, points().map(|&(_, y)| y)),
    };
    let x_at = |x: f64| left + (right - left) * x_axis.place(x);
    let y_at = |y: f64| bottom + (top - bottom) * y_axis.place(y);
    let middle = (left + right) / 2.0;

    text(svg, (left, 26.0), "font-size=\"15\" font-weight=\"bold\"", &panel.title);
    text(svg, (middle, height - 16.0), "text-anchor=\"middle\"", &panel.x_label);
    let side = (top + bottom) / 2.0;
    let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 18 {side})\"");
    text(svg, (18.0, side), &turned, &panel.y_label);
    for (x, label) in &x_axis.ticks {
        text(svg, (x_at(*x), bottom + 18.0), "text-anchor=\"middle\"", label);
    }
    for (y, label) in &y_axis.ticks {
        text(svg, (left - 8.0, y_at(*y) + 4.0), "text-anchor=\"end\"", label);
    }

    for (x, colour) in x_axis.lines() {
        *svg += &segment((x_at(x), top), (x_at(x), bottom), colour);
    }
    for (y, colour) in y_axis.lines() {
        *svg += &segment((left, y_at(y)), (right, y_at(y)), colour);
    }
    let (entries, _) = legend(panel);
    if let Some(field) = &panel.field {
        draw_field(field, (left, top), (right, bottom), svg);
        draw_field_legend(field, svg);
    }
    for ((curve, colour), entry) in panel.curves.iter().zip(colours(panel)).zip(entries) {
        let finite = curve.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
        let places: Vec<(f64, f64)> = finite.map(|&(x, y)| (x_at(x), y_at(y))).collect();
        draw_points(&places, curve.style, colour, svg);
        if let Some((x, row)) = entry {
            let y = ENDS.0 + ROW * row as f64;
            let sample = match curve.style {
                Style::Points => vec![(x + 10.0, y)],
                Style::Band => vec![(x, y - 5.0), (x + 20.0, y - 5.0), (x + 20.0, y + 5.0), (x, y + 5.0)],
                Style::Line | Style::Reference => vec![(x, y), (x + 20.0, y)],
            };
            draw_points(&sample, curve.style, colour, svg);
            text(svg, (x + 26.0, y + 4.0), "", &curve.label);
        }
    }
    *svg += &format!(
        "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{GREY}\"/>\n",
        right - left,
        bottom - top
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), style: &str, what: &str) {
    *svg += &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {style}>{}</text>\n", escaped(what));
}

fn draw_points(places: &[(f64, f64)], style: Style, colour: &str, svg: &mut String) {
    // A line through one point is invisible.
    if style == Style::Points || places.len() == 1 {
        for (x, y) in places {
            *svg += &format!(
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\" fill-opacity=\"0.7\" \
                 stroke=\"{colour}\"/>\n"
            );
        }
    } else if style == Style::Band {
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        *svg +=
            &format!("<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.18\"/>\n", path.join(" "));
    } else if !places.is_empty() {
        let dashes =
            if style == Style::Reference { "stroke-dasharray=\"6 4\"" } else { "stroke-linejoin=\"round\"" };
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        *svg += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" {dashes}/>\n",
            path.join(" ")
        );
    }
}

/// Which band a value is in, of one more than there are levels.
fn band(field: &Field, value: f64) -> usize {
    field.levels.iter().filter(|level| value > **level).count()
}

/// Between the two nearest of the ramp.
fn band_colour(field: &Field, band: usize) -> String {
    let place = (RAMP.len() - 1) as f64 * band as f64 / field.levels.len().max(1) as f64;
    let below = (place as usize).min(RAMP.len() - 2);
    let part = place - below as f64;
    let [r, g, b] = [0, 1, 2].map(|k| ((1.0 - part) * RAMP[below][k] + part * RAMP[below + 1][k]).round());
    format!("rgb({r},{g},{b})")
}

/// Cells of one colour that touch in a row are one rectangle.
fn draw_field(field: &Field, (left, top): (f64, f64), (right, bottom): (f64, f64), svg: &mut String) {
    let height = (bottom - top) / field.rows.len().max(1) as f64;
    for (i, row) in field.rows.iter().enumerate() {
        let width = (right - left) / row.len().max(1) as f64;
        let bands: Vec<usize> = row.iter().map(|value| band(field, *value)).collect();
        let mut x = left;
        for run in bands.chunk_by(|a, b| a == b) {
            let colour = run.first().map_or_else(String::new, |band| band_colour(field, *band));
            *svg += &format!(
                "<rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\n",
                bottom - height * (i + 1) as f64,
                // A little more, so that nothing shines through between two.
                width * run.len() as f64 + 0.3,
                height + 0.3
            );
            x += width * run.len() as f64;
        }
    }
}

/// The bands from the lowest to the highest, in the first row of the legend.
fn draw_field_legend(field: &Field, svg: &mut String) {
    for k in 0..=field.levels.len() {
        *svg += &format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{SWATCH}\" height=\"10\" fill=\"{}\" stroke=\"#bbb\"/>\n",
            SIDES.0 + SWATCH * k as f64,
            ENDS.0 - 5.0,
            band_colour(field, k)
        );
    }
    let after = SIDES.0 + SWATCH * (field.levels.len() + 1) as f64 + 8.0;
    text(svg, (after, ENDS.0 + 4.0), "", &field.label);
}

/// Where the legend's entries begin, as x and a row, and the number of rows.
fn legend(panel: &Panel) -> (Vec<Option<(f64, usize)>>, usize) {
    // A field has the first row for itself.
    let mut row = usize::from(panel.field.is_some());
    let (mut x, mut rows) = (SIDES.0, row);
    let mut entries = Vec::new();
    for curve in &panel.curves {
        if curve.label.is_empty() {
            entries.push(None);
            continue;
        }
        // The width of the text is not known before it is drawn; letters are about so wide.
        let width = 44.0 + 6.2 * curve.label.chars().count() as f64;
        if x > SIDES.0 && x + width > SIZE.0 {
            (x, row) = (SIDES.0, row + 1);
        }
        entries.push(Some((x, row)));
        rows = row + 1;
        x += width;
    }
    (entries, rows)
}

/// The colour in which each curve is drawn.
fn colours(panel: &Panel) -> impl Iterator<Item = &'static str> {
    let mut next = COLOURS.iter().cycle();
    panel.curves.iter().map(move |curve| match (curve.style, curve.colour) {
        (_, Some(k)) => COLOURS[k % COLOURS.len()],
        (Style::Reference, None) => GREY,
        (_, None) => next.next().copied().unwrap_or(GREY),
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
        // What is hardly below zero is not worth an interval: no line is drawn that thin.
        let low = if scale == Scale::Linear && low < 0.0 && -low < 1e-3 * high { 0.0 } else { low };
        let ticks = match scale {
            Scale::Linear => linear_ticks(low, high),
            Scale::Log => log_ticks(low, high),
        };
        let low = ticks.first().map_or(low, |tick| tick.0);
        let high = ticks.last().map_or(high, |tick| tick.0);
        Axis { scale, low, high, ticks }
    }

    /// A linear axis with these ends, and the ticks that lie between them.
    fn between((low, high): (f64, f64)) -> Self {
        let mut ticks = linear_ticks(low, high);
        let rounding = 1e-9 * (high - low);
        ticks.retain(|(tick, _)| low - rounding <= *tick && *tick <= high + rounding);
        Axis { scale: Scale::Linear, low, high, ticks }
    }

    /// Where lines cross the panel, with their colours: at the ticks, and between few powers of ten at their multiples.
    fn lines(&self) -> Vec<(f64, &'static str)> {
        let mut lines = Vec::new();
        if self.scale == Scale::Log && self.high / self.low < 1.1e4 {
            let powers = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
            let multiples = powers.flat_map(|k| (2..10).map(move |unit| f64::from(unit) * 10f64.powi(k)));
            lines.extend(multiples.filter(|x| self.low < *x && *x < self.high).map(|x| (x, "#f3f3f3")));
        }
        lines.extend(self.ticks.iter().map(|(tick, _)| (*tick, "#e0e0e0")));
        lines
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

/// A logarithmic axis over less than this has ticks between powers of ten.
const NEAR: f64 = 60.0;

/// Ticks at powers of ten, from `low` or below to above `high`, both positive; at 1, 2 and 5 times powers of ten, if these
/// are not far apart.
///
/// ```
/// let ticks = pullback_examples::plot::log_ticks(2e-3, 0.5);
/// let labels: Vec<_> = ticks.iter().map(|(_, label)| label.as_str()).collect();
/// assert_eq!(labels, ["10⁻³", "10⁻²", "10⁻¹", "1"]);
/// ```
pub fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    if 1.5 * low < high && high < NEAR * low {
        return near_ticks(low, high);
    }
    let first = (low.log10() + 1e-9).floor() as i32;
    let last = (high.log10() + 1e-9).floor() as i32 + 1;
    let stride = ((last - first + DECADES - 1) / DECADES).max(1);
    let count = (last - first + stride - 1) / stride;
    let exponents = (0..=count).map(|k| first + k * stride);
    exponents.map(|k| (10f64.powi(k), power_of_ten(k))).collect()
}

fn near_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let powers = low.log10().floor() as i32..=high.log10().ceil() as i32;
    let ticks = || powers.clone().flat_map(|k| [1.0, 2.0, 5.0].map(|unit| (unit, k)));
    let value = |(unit, k): (f64, i32)| unit * 10f64.powi(k);
    let first = ticks().map(value).filter(|tick| *tick <= low * (1.0 + 1e-9)).fold(0.0, f64::max);
    let last = ticks().map(value).filter(|tick| *tick >= high * (1.0 - 1e-9)).fold(f64::INFINITY, f64::min);
    let label = |(unit, k): (f64, i32)| match k {
        -3..=3 => format!("{:.*}", (-k).max(0) as usize, unit * 10f64.powi(k)),
        _ if unit == 1.0 => power_of_ten(k),
        _ => format!("{unit:.0}·{}", power_of_ten(k)),
    };
    let within = ticks().filter(|tick| (first..=last).contains(&value(*tick)));
    within.map(|tick| (value(tick), label(tick))).collect()
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
            (0.5, 5.0, "0.5 1 2 5"),
            (0.03, 0.9, "0.02 0.05 0.1 0.2 0.5 1"),
            (0.7, 12.0, "0.5 1 2 5 10 20"),
            (2e-5, 6e-5, "2·10⁻⁵ 5·10⁻⁵ 10⁻⁴"),
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
    fn a_band_goes_along_its_lower_edge_and_back_along_its_upper() {
        let band = Curve::band("", [(0.0, 1.0, 2.0), (1.0, 3.0, 5.0)]);
        assert_eq!(band.points, [(0.0, 1.0), (1.0, 3.0), (1.0, 5.0), (0.0, 2.0)]);
        let picture = svg(&[Panel { curves: vec![band], ..Panel::new("", "", "") }]);
        assert_eq!((picture.matches("<polygon ").count(), picture.matches("<polyline ").count()), (1, 0));
    }

    #[test]
    fn a_picture_escapes_its_texts_and_leaves_out_what_is_not_finite() {
        let panel = |points: &[(f64, f64)]| Panel {
            curves: vec![Curve::new("data", points.to_vec())],
            ..Panel::new("a < b & c", "", "")
        };
        let svg = svg(&[panel(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, f64::INFINITY), (3.0, 2.0)]), panel(&[])]);
        assert!(svg.contains("a &lt; b &amp; c"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert_eq!(svg.matches("<g ").count(), svg.matches("</g>").count());
    }

    #[test]
    fn only_what_has_a_label_is_in_the_legend() {
        let curves = |labels: &[&str]| labels.iter().map(|label| Curve::new(*label, [(0.0, 0.0)])).collect();
        let panel = Panel { curves: curves(&["one", "", "two"]), ..Panel::new("", "", "") };
        let (entries, rows) = legend(&panel);
        assert_eq!((entries.iter().filter(|entry| entry.is_some()).count(), rows), (2, 1));
        assert_eq!(entries[1], None);
        assert_eq!(legend(&Panel { curves: curves(&[""]), ..panel }).1, 0);
    }

    #[test]
    fn a_field_has_bands_and_ends_where_it_ends() {
        let rows = vec![vec![0.0, 0.0, 5.0], vec![0.5, 2.0, f64::INFINITY]];
        let field = Field { x: (-0.3, 1.1), y: (0.0, 1.0), rows, levels: vec![0.1, 1.0], label: "z".into() };
        let bands: Vec<_> = field.rows.iter().flatten().map(|value| band(&field, *value)).collect();
        assert_eq!(bands, [0, 0, 2, 1, 2, 2]);
        // Two runs in each row, three entries of the legend, the frame and the background.
        let svg = svg(&[Panel { field: Some(field), ..Panel::new("", "", "") }]);
        assert_eq!(svg.matches("<rect ").count(), 4 + 3 + 2);
        let axis = Axis::between((-0.3, 1.1));
        assert_eq!((axis.place(-0.3), axis.place(1.1)), (0.0, 1.0));
        assert_eq!(labels(axis.ticks), "0.0 0.5 1.0");
    }

    #[test]
    fn panels_stand_in_rows() {
        let panels = vec![Panel::new("", "", ""); 5];
        assert!(grid(&panels, 2).contains("width=\"1120\" height=\"1200\""));
        assert!(svg(&panels).contains("width=\"2800\" height=\"400\""));
    }
}
