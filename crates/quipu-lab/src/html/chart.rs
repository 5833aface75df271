//! A chart as SVG: lines over an axis, with bands behind them. Colors are those of the page, by class.

use std::fmt::{Arguments, Write as _};

use super::axis::Axis;
use crate::markup::escaped;

/// The width of the drawing, in its own units; a phone shows about three quarters of a pixel of each.
const WIDTH: f64 = 480.0;
/// Its height.
const HEIGHT: f64 = 230.0;
/// Where the lines may be: left, right, top and bottom. At the left stand values, at the bottom moments.
const LEFT: f64 = 54.0;
const RIGHT: f64 = WIDTH - 10.0;
const TOP: f64 = 18.0;
const BOTTOM: f64 = HEIGHT - 22.0;

/// What lies behind the lines from one place to another.
#[derive(Debug, Clone)]
pub(super) struct Band {
    pub(super) name: String,
    pub(super) from: f64,
    pub(super) until: f64,
    /// Whether it belongs to the result.
    pub(super) is_recorded: bool,
}

/// One line: a value, or none, at each place.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: String,
    /// The class that gives it its color.
    pub(super) class: &'static str,
    pub(super) values: Vec<Option<f64>>,
}

/// A chart.
#[derive(Debug, Clone)]
pub(super) struct Chart<'c> {
    pub(super) title: &'static str,
    /// What is shown and how to read it.
    pub(super) note: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) bands: &'c [Band],
    /// Where the values of the lines stand.
    pub(super) places: &'c [f64],
    pub(super) lines: Vec<Line>,
}

impl Chart<'_> {
    /// Returns the figure. Pointing at a place tells its values.
    pub(super) fn figure(&self) -> String {
        let mut svg = String::new();
        self.draw_bands(&mut svg);
        self.draw_axes(&mut svg);
        // The first of the key lies on top.
        for line in self.lines.iter().rev() {
            self.draw_line(line, &mut svg);
        }
        self.draw_tips(&mut svg);
        let key = self.lines.iter().map(|line| {
            format!(r#"<span><i class="{}"></i>{}</span>"#, line.class, escaped(&line.name))
        });
        format!(
            "<figure class=card><figcaption><h2>{title}</h2><p class=sub>{note}</p></figcaption>\
             <p class=key>{key}</p><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img \
             aria-label=\"{title}\">{svg}</svg></figure>\n",
            title = self.title,
            note = escaped(&self.note),
            key = key.collect::<String>(),
        )
    }

    fn x_of(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (RIGHT - LEFT)
    }

    fn y_of(&self, value: f64) -> f64 {
        BOTTOM - self.y.place(value) * (BOTTOM - TOP)
    }

    fn draw_bands(&self, svg: &mut String) {
        for (number, band) in self.bands.iter().enumerate() {
            let (x, until) = (self.x_of(band.from), self.x_of(band.until));
            let class = match (band.is_recorded, number % 2) {
                (false, _) => "band off",
                (true, 0) => "band",
                (true, _) => "band odd",
            };
            let (width, height) = (until - x, BOTTOM - TOP);
            let size = format_args!("y={TOP} width={width:.1} height={height}");
            put(svg, format_args!("<rect class=\"{class}\" x={x:.1} {size} />"));
            // A name wants some six units for each letter.
            if width > band.name.chars().count() as f64 * 6.0 {
                let name = escaped(&band.name);
                let middle = x + width / 2.0;
                put(svg, format_args!("<text class=phase x={middle:.1} y=12>{name}</text>"));
            }
        }
    }

    fn draw_axes(&self, svg: &mut String) {
        for (value, text) in &self.y.ticks {
            let y = self.y_of(*value);
            let (x, below) = (LEFT - 5.0, y + 4.0);
            put(svg, format_args!("<path class=grid d=\"M{LEFT} {y:.1}H{RIGHT}\"/>"));
            put(svg, format_args!("<text class=y x={x} y={below:.1}>{text}</text>"));
        }
        for (value, text) in &self.x.ticks {
            let (x, y) = (self.x_of(*value), HEIGHT - 6.0);
            put(svg, format_args!("<text class=x x={x:.1} y={y}>{text}</text>"));
        }
    }

    /// Draws a line, broken where there is no value. A value between two gaps is a dot.
    fn draw_line(&self, line: &Line, svg: &mut String) {
        let mut path = String::new();
        let mut pen_is_down = false;
        let mut values = self.places.iter().zip(&line.values).peekable();
        while let Some((place, value)) = values.next() {
            let Some(value) = value else {
                pen_is_down = false;
                continue;
            };
            let (x, y) = (self.x_of(*place), self.y_of(*value));
            let ends = values.peek().is_none_or(|(_, next)| next.is_none());
            let step = if pen_is_down { 'L' } else { 'M' };
            let dot = if !pen_is_down && ends { "h.1" } else { "" };
            put(&mut path, format_args!("{step}{x:.1} {y:.1}{dot}"));
            pen_is_down = true;
        }
        put(svg, format_args!("<path class=\"line {}\" d=\"{path}\"/>", line.class));
    }

    fn draw_tips(&self, svg: &mut String) {
        let width = (RIGHT - LEFT) / self.places.len().max(1) as f64;
        for (number, place) in self.places.iter().enumerate() {
            let said = self.lines.iter().filter_map(|line| {
                let value = line.values.get(number).copied().flatten()?;
                Some(format!("\n{} {}", line.name, (self.y.say)(value)))
            });
            let said = escaped(&format!("{}{}", (self.x.say)(*place), said.collect::<String>()));
            let (x, height) = (self.x_of(*place) - width / 2.0, BOTTOM - TOP);
            let size = format_args!("y={TOP} width={width:.1} height={height}");
            let title = format_args!("<title>{said}</title>");
            put(svg, format_args!("<rect class=tip x={x:.1} {size}>{title}</rect>"));
        }
    }
}

fn put(text: &mut String, arguments: Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes text");
}
