//! The picture: a line for each queue, the chosen one in detail, and what is wrong in sentences.

use super::cells::{Cells, bar, spark, worst};
use super::ui::Ui;
use super::watch::{Moment, Row};
use crate::advice::Level;
use crate::view::View;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Table, TableState, Wrap};
use shmq::{PeerState, Role};
use shmq_tool::units::{show_bytes, show_count, show_messages, show_rough, show_short};
use std::time::Duration;

/// Lines of the chosen queue's part, without its frame.
const DETAIL: u16 = 7;
/// More than this shows nothing more.
const MOST_DETAIL: u16 = 22;
/// From this width on there is a history in each line.
const BROAD: u16 = 100;

pub fn draw(frame: &mut Frame<'_>, rows: &[Row], ui: &Ui) {
    let shown = ui.shown(rows);
    let index = ui.index(&shown);
    let area = frame.area();
    let chosen = shown.get(index).copied();
    let advice = sentences(&shown, chosen, ui);
    let [head, list, detail, below, foot] = parts(area, shown.len(), &advice, ui);
    frame.render_widget(Paragraph::new(heading(rows, ui)), head);
    if shown.is_empty() {
        frame.render_widget(Paragraph::new(nothing(rows, ui)), list);
    } else if list.height > 0 {
        frame.render_stateful_widget(
            table(&shown, list.width, ui),
            list,
            &mut TableState::default().with_selected(Some(index)),
        );
    }
    if let Some(row) = chosen {
        draw_chosen(frame, detail, row, ui);
    }
    frame.render_widget(Paragraph::new(advice).wrap(Wrap { trim: false }), below);
    frame.render_widget(
        Paragraph::new(keys(ui)).style(ui.style(Style::new().add_modifier(Modifier::DIM))),
        foot,
    );
    if ui.help {
        draw_help(frame, area);
    }
}

impl Ui {
    /// The style, without its colour where none are wanted.
    fn style(&self, style: Style) -> Style {
        if self.colours { style } else { Style { fg: None, bg: None, ..style } }
    }

    fn level(&self, level: Option<Level>) -> Style {
        self.style(match level {
            Some(Level::Trouble) => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
            Some(Level::Warning) => Style::new().fg(Color::Yellow),
            Some(Level::Note) | None => Style::new(),
        })
    }
}

/// Heading, list, the chosen one, sentences, keys. What does not fit goes from the bottom up, but the sentences keep at least
/// a third of what is left: they are what one came for.
fn parts(area: Rect, rows: usize, advice: &Text<'_>, ui: &Ui) -> [Rect; 5] {
    let left = area.height.saturating_sub(2);
    let lines = advice.lines.iter().map(|line| line.width().div_ceil(usize::from(area.width.max(1))).max(1));
    let wanted = u16::try_from(lines.sum::<usize>()).unwrap_or(u16::MAX);
    // Where there are none, a sentence says so.
    let list = u16::try_from(rows.max(2) + 1).unwrap_or(u16::MAX);
    if ui.wide {
        let below = wanted.min(left / 2);
        return Layout::vertical([1, 0, left - below, below, 1].map(Constraint::Length)).areas(area);
    }
    let detail = if left >= DETAIL + 8 { DETAIL + 1 } else { 0 };
    let below = wanted.min(left.saturating_sub(detail + list).max((left - detail) / 3));
    let list = list.min(left.saturating_sub(detail + below));
    // What nobody needs makes the history higher.
    let detail = if detail > 0 { (left - list - below).min(MOST_DETAIL) } else { 0 };
    Layout::vertical([1, list, detail, below, 1].map(Constraint::Length)).areas(area)
}

fn heading<'a>(rows: &[Row], ui: &Ui) -> Line<'a> {
    let count = |level| rows.iter().filter(|row| worst(row) == Some(level)).count();
    let (trouble, warnings) = (count(Level::Trouble), count(Level::Warning));
    let queues = if rows.len() == 1 { "1 queue".into() } else { format!("{} queues", rows.len()) };
    let mut line = vec![
        Span::styled("shmq top", Style::new().add_modifier(Modifier::BOLD)),
        format!("  {queues}").into(),
    ];
    if trouble > 0 {
        line.push(Span::styled(format!("  {trouble} in trouble"), ui.level(Some(Level::Trouble))));
    }
    if warnings > 0 {
        line.push(Span::styled(format!("  {warnings} to watch"), ui.level(Some(Level::Warning))));
    }
    if trouble + warnings == 0 && !rows.is_empty() {
        line.push(Span::styled("  all well", ui.style(Style::new().fg(Color::Green))));
    }
    let hidden = if ui.only_trouble { ", what is well is hidden" } else { "" };
    let pace = if ui.paused { "paused".into() } else { format!("every {}", pace(ui.interval)) };
    line.push(format!("  {pace}, {}{hidden}", ui.sort.words()).into());
    Line::from(line)
}

fn pace(interval: Duration) -> String {
    match interval.as_millis() {
        ms if ms % 1000 == 0 => format!("{} s", ms / 1000),
        ms => format!("{ms} ms"),
    }
}

fn nothing(rows: &[Row], ui: &Ui) -> &'static str {
    if rows.is_empty() {
        "\nThere is no queue in /dev/shm. One that comes is shown at once."
    } else if ui.only_trouble {
        "\nAll is well. `a` shows all queues."
    } else {
        ""
    }
}

fn table<'a>(shown: &[&Row], width: u16, ui: &Ui) -> Table<'a> {
    let broad = width >= BROAD;
    let longest = shown.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    // What the other columns leave at 80: 16.
    let room = if broad { 40 } else { usize::from(width).saturating_sub(64).max(8) };
    let name = longest.clamp(8, room);
    let fill: u16 = if broad { 16 } else { 8 };
    let mut widths =
        vec![name as u16, 8, fill, 4, 7, 6, 6, 8, 8].into_iter().map(Constraint::Length).collect::<Vec<_>>();
    let mut head = vec!["NAME", "STATE", "FULL", "", "WAITING", "  IN/s", " OUT/s", "PRODUCER", "CONSUMER"];
    // What is left, if it is worth it: frames and gaps taken off.
    let history = if broad { usize::from(width) - name - 16 - 47 - 9 } else { 0 };
    if broad {
        widths.push(Constraint::Fill(1));
        head.push("TAKEN");
    }
    let rows = shown.iter().map(|row| line(row, name, fill, history, ui)).collect::<Vec<_>>();
    Table::new(rows, widths)
        .header(ratatui::widgets::Row::new(head).style(Style::new().add_modifier(Modifier::BOLD)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED))
        .column_spacing(1)
}

fn line<'a>(row: &Row, width: usize, fill: u16, history: usize, ui: &Ui) -> ratatui::widgets::Row<'a> {
    let style = ui.level(worst(row));
    let name = Cell::from(cut(&row.name, width)).style(style);
    let Some(cells) = Cells::of(row) else {
        return ratatui::widgets::Row::new([name, Cell::from("no queue").style(style)]);
    };
    let ratio = row.now().fill_ratio;
    let colour = if ratio >= 0.9 {
        Color::Red
    } else if ratio >= 0.7 {
        Color::Yellow
    } else {
        Color::Green
    };
    let bar = Cell::from(bar(ratio, fill.into())).style(ui.style(Style::new().fg(colour)));
    let right = |text: String, width: usize| Cell::from(format!("{text:>width$}"));
    let end = |word: &'static str| {
        let loud = word.chars().any(char::is_uppercase);
        Cell::from(word).style(ui.level(loud.then_some(Level::Trouble)))
    };
    let mut columns = vec![
        name,
        Cell::from(cells.state).style(style),
        bar,
        right(cells.percent, 4),
        right(cells.waiting, 7),
        right(cells.sent, 6),
        right(cells.received, 6),
        end(cells.producer),
        end(cells.consumer),
    ];
    if history > 0 {
        let values = series(row, |moment| moment.received_per_second);
        columns.push(Cell::from(spark(&values, history, highest(&values))));
    }
    ratatui::widgets::Row::new(columns)
}

/// Its end is what tells one name from the other, as a rule.
fn cut(name: &str, width: usize) -> String {
    let letters = name.chars().count();
    if letters <= width {
        return name.into();
    }
    "…".to_owned() + &name.chars().skip(letters + 1 - width).collect::<String>()
}

fn series(row: &Row, of: impl Fn(&Moment) -> f64) -> Vec<f64> {
    row.history.iter().map(of).collect()
}

fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn draw_chosen(frame: &mut Frame<'_>, area: Rect, row: &Row, ui: &Ui) {
    let title = match &row.view {
        Ok(view) => format!(" {} ", view.path),
        Err(_) => format!(" {} ", row.name),
    };
    let block = Block::new().borders(Borders::TOP).title(title);
    let inside = block.inner(area);
    frame.render_widget(block, area);
    match &row.view {
        Err(why) => frame.render_widget(Paragraph::new(why.as_str()).wrap(Wrap { trim: true }), inside),
        Ok(view) => {
            let facts = facts(view);
            let height = (facts.len() as u16).min(inside.height);
            let [above, below] =
                Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(inside);
            frame.render_widget(Paragraph::new(facts), above);
            if view.has_ends() {
                draw_histories(frame, below, row, ui);
            }
        }
    }
}

fn facts<'a>(view: &View) -> Vec<Line<'a>> {
    let end = if view.finished { ", end of data declared" } else { "" };
    let waiting = format!(
        "{} waiting, most {}{end}; {}",
        show_count(view.pending_messages),
        show_count(view.most_pending_messages),
        view.kind,
    );
    let size = |bytes| show_bytes(bytes);
    let first = match (&view.pool, view.message_bytes, view.depth) {
        _ if !view.has_ends() => {
            format!("{} of raw memory: no ends, and nothing that waits", size(view.capacity_bytes))
        }
        (Some(pool), ..) => format!(
            "{} full, {} with the reader, {} with the writer, {} returning{end}; {} of {}",
            show_count(pool.under_way_blocks),
            show_count(pool.held_blocks),
            show_count(pool.home_blocks),
            show_count(pool.returning_blocks),
            view.words().count(pool.blocks),
            size(pool.block_bytes),
        ),
        (None, Some(bytes), Some(depth)) => {
            format!("{waiting}: {} of exactly {}", show_messages(depth), size(bytes))
        }
        _ => format!(
            "{waiting}: messages up to {}, ring of {}",
            size(view.max_message_bytes),
            size(view.capacity_bytes)
        ),
    };
    let mut lines = vec![Line::from(first)];
    if view.has_ends() {
        for role in [Role::Producer, Role::Consumer] {
            lines.push(Line::from(format!("{:<9} {}", view.words().end(role), of_end(view, role))));
        }
    }
    lines
}

fn of_end(view: &View, role: Role) -> String {
    let end = view.end(role);
    let ns = |ns| show_rough(Duration::from_nanos(ns));
    let came = ns(crate::diagnosis::since_1970(end.since_ns));
    let mut text = match end.peer {
        PeerState::NeverAttached => return "never attached".into(),
        PeerState::Left => return format!("left; was pid {}, came {came} ago", end.pid),
        PeerState::Lost => return format!("ended without leaving; was pid {}, came {came} ago", end.pid),
        PeerState::Attached => crate::diagnosis::who(end),
    };
    if let Some(condition) = end.condition.as_deref() {
        text += &format!(", {condition}");
    }
    if let Some(ratio) = end.cpu_ratio {
        text += &format!(", {:.0} % cpu", ratio * 100.0);
    }
    if let Some(time) = end.stalled_for_ns {
        let what = match (role, &view.pool) {
            (Role::Producer, None) => "room",
            (Role::Producer, Some(_)) => "a free block",
            (Role::Consumer, None) => "a message",
            (Role::Consumer, Some(_)) => "a full block",
        };
        text += &format!(", waits for {what} for {}", ns(time));
    }
    text + &format!(
        ", came {came} ago, {} {}",
        show_count(end.messages_since_it_came),
        if role == Role::Producer { "sent" } else { "taken" }
    )
}

/// As many rows of columns as there is room for: in, out, fill.
fn draw_histories(frame: &mut Frame<'_>, area: Rect, row: &Row, ui: &Ui) {
    const LABEL: usize = 20;
    if area.height == 0 || usize::from(area.width) < LABEL + 10 {
        return;
    }
    let width = usize::from(area.width) - LABEL;
    let each = (area.height / 3).max(1);
    let rates =
        [("sent", series(row, |m| m.sent_per_second)), ("taken", series(row, |m| m.received_per_second))];
    let of_rate = |(what, values): (&str, Vec<f64>)| {
        let newest = values[values.len().saturating_sub(width)..].to_vec();
        let (now, most) = (newest.last().copied().unwrap_or(0.0), highest(&newest));
        (format!("{what:<6}{:>5}/s max {:<4}", show_short(now), show_short(most)), newest, most)
    };
    let [sent, taken] = rates.map(of_rate);
    let fill = series(row, |m| m.fill_ratio);
    let label = format!("full  {:>5}", super::cells::percent(row.now().fill_ratio));
    let charts = [sent, taken, (label, fill, 1.0)];
    let mut y = area.y;
    for (label, values, most) in charts {
        if y >= area.bottom() {
            return;
        }
        let height = each.min(area.bottom() - y);
        let lines = column_chart(&values, width, height, most);
        for (i, columns) in lines.into_iter().enumerate() {
            let label = if i == 0 { &label[..] } else { "" };
            let line = Line::from(vec![
                Span::raw(format!("{label:<LABEL$}")),
                Span::styled(columns, ui.style(Style::new().fg(Color::Cyan))),
            ]);
            frame.render_widget(Paragraph::new(line), Rect { y: y + i as u16, height: 1, ..area });
        }
        y += height;
    }
}

/// A row of columns, several lines high; the top line first.
fn column_chart(values: &[f64], width: usize, height: u16, most: f64) -> Vec<String> {
    let step = most / f64::from(height.max(1));
    (0..height)
        .rev()
        .map(|line| {
            let above = f64::from(line) * step;
            let part = values.iter().map(|value| (value - above).clamp(0.0, step)).collect::<Vec<_>>();
            spark(&part, width, step)
        })
        .collect()
}

/// What is wrong: the chosen queue's first, then the others', the worst first.
fn sentences<'a>(shown: &[&Row], chosen: Option<&Row>, ui: &Ui) -> Text<'a> {
    let mut all: Vec<(bool, Level, &str, String, Option<String>)> = Vec::new();
    for row in shown {
        let first = chosen.is_some_and(|chosen| chosen.name == row.name);
        match &row.view {
            Ok(view) => all.extend(
                view.advice
                    .iter()
                    .filter(|advice| advice.level > Level::Note || first)
                    .map(|a| (first, a.level, &row.name[..], a.says.clone(), a.todo.clone())),
            ),
            Err(why) => all.push((first, Level::Trouble, &row.name, why.clone(), None)),
        }
    }
    all.sort_by_key(|(first, level, ..)| std::cmp::Reverse((*first, *level)));
    let mut lines = Vec::new();
    for (_, level, name, says, todo) in all {
        lines.push(Line::from(vec![
            Span::styled(format!("{name}: "), ui.level(Some(level))),
            Span::raw(says),
        ]));
        lines.extend(todo.map(|todo| Line::from(format!("  > {todo}"))));
    }
    Text::from(lines)
}

fn keys(ui: &Ui) -> &'static str {
    if ui.wide {
        "q quit  Enter list  up/down queue  space pause  +/- pace  ? help"
    } else {
        "q quit  Enter detail  up/down queue  s sort  a alerts  space pause  ? help"
    }
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    const HELP: &str = "\
up down j k    choose a queue
Enter          the chosen queue on the whole screen, and back
s              sort: trouble, name, fill, rate
a              only what is in trouble or to be watched
space          stop the picture, and go on
+ -            twice as often, half as often
ctrl-z         stop, `fg` goes on
q Esc ctrl-c   quit

FULL     bytes or messages of those that fit, whichever is nearer to its
         limit; of a pool, blocks that the writer cannot have
busy     attached, and not asleep for the other end
waiting  a consumer asleep: nothing has come
blocked  a producer asleep: the queue is full, or no block is free
LOST     ended without leaving, killed or on purpose; a successor goes on
         where it was";
    let width = 78.min(area.width);
    let height = (HELP.lines().count() as u16 + 2).min(area.height);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" shmq top ")), place);
}

#[cfg(test)]
mod tests;
