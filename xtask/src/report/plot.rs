// SPDX-License-Identifier: GPL-2.0-only
//! Charts as SVG.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

/// Width of a chart, in pixels.
const WIDTH: u32 = 900;

/// Height of a bar with the space around it, in pixels.
const ROW: u32 = 22;

/// Height of labels, in pixels.
const TEXT: u32 = 13;

/// Blue and orange: neither says good or bad, and nobody takes one for the other.
const COLOURS: [RGBColor; 2] = [RGBColor(0x44, 0x77, 0xaa), RGBColor(0xee, 0x77, 0x33)];

/// A bar: its label and its length. Charts colour bars by `series`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    /// What it stands for.
    pub(crate) label: String,
    /// How much it is.
    pub(crate) value: f64,
    /// Bars with the same number have the same colour.
    pub(crate) series: usize,
}

/// Draws `bars` from top to bottom with `unit` below.
///
/// # Errors
///
/// The chart cannot be laid out.
pub(crate) fn bars(bars: &[Bar], unit: &str) -> Result<String> {
    let mut svg = String::new();
    let rows = u32::try_from(bars.len())?;
    let longest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, rows * ROW + 60)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(280)
            .build_cartesian_2d(0.0..longest * 1.1, (0..rows).into_segmented())
            .map_err(|error| anyhow!("chart: {error}"))?;
        let label = |place: &SegmentValue<u32>| match place {
            SegmentValue::CenterOf(row) => {
                bars.get(bars.len().wrapping_sub(*row as usize + 1)).map(|bar| bar.label.clone()).unwrap_or_default()
            }
            _ => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(bars.len())
            .y_label_formatter(&label)
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .x_desc(unit)
            .draw()
            .map_err(|error| anyhow!("chart: {error}"))?;
        chart
            .draw_series((0..rows).zip(bars.iter().rev()).map(|(row, bar)| {
                let colour = COLOURS[bar.series % COLOURS.len()];
                let (from, to) = (SegmentValue::Exact(row), SegmentValue::Exact(row + 1));
                let mut drawn = Rectangle::new([(0.0, from), (bar.value, to)], colour.filled());
                drawn.set_margin(3, 3, 0, 0);
                drawn
            }))
            .map_err(|error| anyhow!("chart: {error}"))?;
        area.present().map_err(|error| anyhow!("chart: {error}"))?;
    }
    Ok(svg)
}

/// Points from left to right.
pub(crate) type Line = Vec<(f64, f64)>;

/// Height of a chart with lines, in pixels.
const HEIGHT: u32 = 300;

/// Draws lines into one chart, both axes from zero.
///
/// # Errors
///
/// The chart cannot be laid out.
pub(crate) fn lines(lines: &[Line], across: &str, up: &str) -> Result<String> {
    let mut svg = String::new();
    let most = |of: fn(&(f64, f64)) -> f64| lines.iter().flatten().map(of).fold(f64::MIN_POSITIVE, f64::max) * 1.05;
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(100)
            .build_cartesian_2d(0.0..most(|point| point.0), 0.0..most(|point| point.1))
            .map_err(|error| anyhow!("chart: {error}"))?;
        chart
            .configure_mesh()
            .label_style(("sans-serif", TEXT))
            .axis_desc_style(("sans-serif", TEXT))
            .x_desc(across)
            .y_desc(up)
            .draw()
            .map_err(|error| anyhow!("chart: {error}"))?;
        for (number, line) in lines.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let line = LineSeries::new(line.iter().copied(), colour.stroke_width(2)).point_size(3);
            chart.draw_series(line).map_err(|error| anyhow!("chart: {error}"))?;
        }
        area.present().map_err(|error| anyhow!("chart: {error}"))?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bar_is_drawn_with_its_label() {
        let bar = |label: &str, value| Bar { label: label.to_owned(), value, series: 0 };
        let svg = bars(&[bar("mount", 1.0), bar("tasks", 2.5)], "seconds").unwrap();
        assert!(svg.starts_with("<svg"), "{svg}");
        for label in ["mount", "tasks", "seconds"] {
            assert!(svg.contains(label), "{label}: {svg}");
        }
    }

    #[test]
    fn every_line_is_drawn_with_its_points() {
        let svg = lines(&[vec![(0.0, 1.0), (10.0, 5.0)], vec![(0.0, 2.0)]], "threads", "instructions").unwrap();
        assert!(svg.starts_with("<svg"), "{svg}");
        let drawn = |kind: &str, colour: &str| {
            svg.lines().filter(|line| line.starts_with(kind) && line.contains(colour)).count()
        };
        assert_eq!((drawn("<polyline", "#4477AA"), drawn("<circle", "#4477AA")), (1, 2), "{svg}");
        assert_eq!((drawn("<polyline", "#EE7733"), drawn("<circle", "#EE7733")), (1, 1), "{svg}");
        assert!(svg.contains("threads") && svg.contains("instructions"), "{svg}");
    }
}
