//! The picture, read as a person reads it: what stands in it, not where.

use super::*;
use crate::top::ui::Sort;
use crate::view::{Blocks, End, Subject};
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::ffi::OsStr;

/// A row as of a new queue with this name, with something changed, and told what that means.
fn row(name: &str, change: impl FnOnce(&mut View)) -> Row {
    let id = std::thread::current().id();
    let file = format!("shmq-cli-draw-{}-{id:?}", std::process::id()).replace(['(', ')'], "");
    let queue = shmq::Queue::create(&file, &shmq::Options::new()).unwrap();
    let subject = Subject::open(OsStr::new(&file)).unwrap();
    queue.remove().unwrap();
    let look = subject.look();
    let mut view = View::new(&subject, Some(&look), &look);
    (view.name, view.path) = (name.into(), format!("/dev/shm/{name}"));
    view.removed = false;
    change(&mut view);
    (view.state, view.advice) = crate::diagnosis::of(&view);
    let history = (0..60).map(|i| Moment {
        sent_per_second: f64::from(i) * 100.0,
        received_per_second: view.sample.map_or(0.0, |sample| sample.received_per_second),
        fill_ratio: view.fill_ratio,
    });
    Row { name: name.into(), view: Ok(view.clone()), history: history.collect() }
}

fn attach(end: &mut End, pid: u64, condition: &str) {
    (end.peer, end.state, end.epoch, end.pid) = (PeerState::Attached, "attached", 1, pid);
    end.since_ns = crate::diagnosis::since_1970(60_000_000_000);
    (end.command, end.condition, end.process_sure) = (Some("worker".into()), Some(condition.into()), true);
}

fn flowing() -> Row {
    row("ticks", |view| {
        attach(&mut view.producer, 11, "running");
        attach(&mut view.consumer, 12, "running");
        let sample = view.sample.as_mut().unwrap();
        (sample.sent_messages, sample.received_messages) = (9, 9);
        (sample.sent_per_second, sample.received_per_second) = (1_234_567.0, 1_230_000.0);
    })
}

/// A consumer that was stopped while the producer fills the ring.
fn stuck() -> Row {
    row("orders", |view| {
        attach(&mut view.producer, 21, "sleeping");
        attach(&mut view.consumer, 22, "stopped");
        (view.pending_messages, view.sent_messages, view.fill_ratio) = (3812, 3812, 1.0);
        view.producer.stalled_for_ns = Some(40_000_000_000);
    })
}

fn orphaned() -> Row {
    row("jobs", |view| {
        attach(&mut view.consumer, 32, "sleeping");
        view.consumer.stalled_for_ns = Some(5_000_000_000);
        (view.producer.peer, view.producer.epoch, view.producer.pid) = (PeerState::Lost, 1, 31);
    })
}

/// A pool whose reader keeps every block.
fn kept() -> Row {
    row("frames", |view| {
        attach(&mut view.producer, 41, "sleeping");
        attach(&mut view.consumer, 42, "sleeping");
        view.kind = "pool".into();
        view.pool = Some(Blocks {
            blocks: 8,
            block_bytes: 1 << 20,
            home_blocks: 0,
            under_way_blocks: 0,
            held_blocks: 8,
            returning_blocks: 0,
            returned_blocks: 30,
            returned_meanwhile: 0,
        });
        view.fill_ratio = 1.0;
        view.producer.stalled_for_ns = Some(40_000_000_000);
    })
}

fn raw() -> Row {
    row("meters", |view| (view.kind, view.capacity_bytes) = ("raw".into(), 65536))
}

fn unreadable() -> Row {
    Row {
        name: "nowhere".into(),
        view: Err("there is no queue at /dev/shm/nowhere".into()),
        history: Default::default(),
    }
}

fn ui() -> Ui {
    Ui { colours: true, ..Ui::new(Duration::from_secs(1)) }
}

fn picture(rows: &[Row], ui: &Ui, width: u16, height: u16) -> Buffer {
    let mut terminal = ratatui::Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, rows, ui)).unwrap();
    terminal.backend().buffer().clone()
}

/// Its lines, without what is blank at their ends.
fn lines(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let line = |y| (0..area.width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..area.height).map(line).collect()
}

/// The line that begins with this.
#[track_caller]
fn line<'a>(lines: &'a [String], begin: &str) -> &'a str {
    lines
        .iter()
        .find(|line| line.starts_with(begin))
        .unwrap_or_else(|| panic!("no line {begin:?} in {lines:#?}"))
}

/// All words, as a sentence that is wrapped reads.
fn words(lines: &[String]) -> String {
    lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn at_80_columns_all_that_matters_is_there() {
    let rows = [flowing(), stuck(), orphaned(), unreadable()];
    let lines = lines(&picture(&rows, &ui(), 80, 24));
    let all = words(&lines);
    assert!(lines[0].contains("4 queues  3 in trouble"), "{lines:#?}");
    let ticks = line(&lines, "ticks");
    assert!(ticks.contains("flowing") && ticks.contains("5.90k") && ticks.contains("1.23M"), "{ticks}");
    assert!(ticks.ends_with("busy     busy"), "{ticks}");
    let orders = line(&lines, "orders");
    assert!(orders.contains("STUCK    ████████ 100%") && orders.contains("3.81k"), "{orders}");
    assert!(orders.ends_with("blocked  STOPPED"), "{orders}");
    let jobs = line(&lines, "jobs");
    assert!(jobs.contains("LOST") && jobs.ends_with("waiting"), "{jobs}");
    assert!(line(&lines, "nowhere").contains("no queue"));
    assert!(all.contains("kill -CONT 22"), "what to do about it is in sight: {lines:#?}");
    assert!(line(&lines, "q quit").contains("? help"));
}

#[test]
fn pools_and_raw_memory_are_shown_as_what_they_are() {
    let rows = [kept(), raw()];
    let pool = words(&lines(&picture(&rows, &ui(), 80, 24)));
    for part in [
        "0 full, 8 with the reader, 0 with the writer, 0 returning; 8 blocks of 1 MiB",
        "writer pid 41, worker, sleeping, waits for a free block for 40 s",
        "the reader (pid 42, worker) holds 8 of 8 blocks and has given none back",
        "frames STUCK",
    ] {
        assert!(pool.contains(part), "{part:?} is not in {pool}");
    }
    assert!(!pool.contains("consumer (") && !pool.contains("messages"), "{pool}");
    let memory = words(&lines(&picture(&rows[1..], &ui(), 80, 24)));
    assert!(memory.contains("64 KiB of raw memory: no ends, and nothing that waits"), "{memory}");
    assert!(memory.contains("meters memory - - - - - -") && !memory.contains("max 0"), "{memory}");
}

#[test]
fn trouble_comes_first_and_is_chosen_first() {
    let rows = [flowing(), unreadable(), stuck()];
    let lines = lines(&picture(&rows, &ui(), 80, 24));
    let at = |begin: &str| lines.iter().position(|line| line.starts_with(begin)).unwrap();
    assert!(at("orders") < at("ticks"), "{lines:#?}");
    let by_name = Ui { sort: Sort::Name, chosen: Some("ticks".into()), ..ui() };
    let lines = self::lines(&picture(&rows, &by_name, 80, 24));
    assert!(lines.iter().any(|line| line.contains("/dev/shm/ticks ─")), "{lines:#?}");
    assert!(words(&lines).contains("producer pid 11, worker, running"));
}

#[test]
fn the_chosen_queue_shows_its_ends_and_its_history() {
    let rows = [stuck(), flowing()];
    for (width, height) in [(80, 24), (200, 50)] {
        let lines = lines(&picture(&rows, &ui(), width, height));
        let all = words(&lines);
        assert!(all.contains("3 812 waiting") && all.contains("ring of 1 MiB"), "{lines:#?}");
        assert!(all.contains("producer pid 21, worker, sleeping, waits for room for 40 s"), "{lines:#?}");
        let sent = line(&lines, "sent");
        assert!(sent.contains("5.90k/s max 5.90k"), "{lines:#?}");
        assert!(lines.iter().any(|line| line.ends_with("▇▇██") || line.ends_with("████")), "{lines:#?}");
        assert!(line(&lines, "full").contains("100%"), "{lines:#?}");
    }
}

#[test]
fn a_broad_screen_has_a_history_in_each_line_and_long_names_whole() {
    let name = "eu-central.frankfurt.rates.1";
    let rows = [row(name, |view| view.sample.as_mut().unwrap().received_per_second = 5.0), stuck()];
    let broad = lines(&picture(&rows, &ui(), 200, 50));
    assert!(broad.iter().any(|line| line.starts_with("NAME") && line.ends_with("TAKEN")), "{broad:#?}");
    assert!(line(&broad, name).ends_with("████████"), "{broad:#?}");
    let narrow = lines(&picture(&rows, &ui(), 80, 24));
    // Cut where names are alike.
    assert!(narrow.iter().any(|line| line.starts_with("…") && line.contains("rates.1")), "{narrow:#?}");
}

#[test]
fn enter_gives_the_chosen_queue_the_whole_screen() {
    let rows = [stuck(), flowing()];
    let mut ui = ui();
    ui.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE), &rows);
    let lines = lines(&picture(&rows, &ui, 80, 24));
    assert!(!lines.iter().any(|line| line.starts_with("NAME")), "{lines:#?}");
    // Columns are several lines high now.
    assert!(lines.iter().filter(|line| line.ends_with('█')).count() > 3, "{lines:#?}");
    assert!(words(&lines).contains("kill -CONT 22"));
}

#[test]
fn keys_choose_sort_hide_and_quit() {
    use crate::top::ui::Then;
    let rows = [flowing(), stuck(), orphaned()];
    let mut ui = ui();
    let press = |ui: &mut Ui, code| ui.key(KeyEvent::new(code, KeyModifiers::NONE), &rows);
    press(&mut ui, KeyCode::Down);
    assert_eq!(ui.chosen.as_deref(), Some("orders"), "jobs, orders, ticks: the trouble first, then by name");
    press(&mut ui, KeyCode::End);
    assert_eq!(ui.chosen.as_deref(), Some("ticks"));
    press(&mut ui, KeyCode::Char('a'));
    let names: Vec<_> = ui.shown(&rows).iter().map(|row| &row.name[..]).collect();
    assert_eq!((names, ui.index(&ui.shown(&rows))), (vec!["jobs", "orders"], 0));
    press(&mut ui, KeyCode::Char('+'));
    assert_eq!(ui.interval, Duration::from_millis(500));
    press(&mut ui, KeyCode::Char('?'));
    assert!(
        words(&lines(&picture(&rows, &ui, 80, 24)))
            .contains("ended without leaving, killed or on purpose; a successor goes on")
    );
    assert_eq!(press(&mut ui, KeyCode::Esc), Then::GoOn, "leaves the help first");
    assert_eq!(press(&mut ui, KeyCode::Esc), Then::Quit);
    assert_eq!(press(&mut ui, KeyCode::Char('q')), Then::Quit);
    let control = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL);
    assert_eq!((ui.key(control('c'), &rows), ui.key(control('z'), &rows)), (Then::Quit, Then::Stop));
}

#[test]
fn without_colours_there_are_none_and_with_them_trouble_is_red() {
    let rows = [stuck(), flowing()];
    let has_red = |colours| {
        let picture = picture(&rows, &Ui { colours, ..ui() }, 80, 24);
        let coloured = picture.content.iter().any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
        assert_eq!(coloured, colours);
        picture.content.iter().any(|cell| cell.fg == Color::Red)
    };
    assert!(has_red(true) && !has_red(false));
}

#[test]
fn any_size_and_any_number_of_queues_can_be_drawn() {
    let many: Vec<_> = (0..40).map(|i| Row { name: format!("queue-{i:02}"), ..stuck() }).collect();
    for rows in [&many[..], &[], &many[..1]] {
        for (width, height) in [(1, 1), (2, 40), (20, 5), (79, 10), (100, 3), (300, 100)] {
            for (wide, help) in [(false, false), (true, false), (false, true)] {
                picture(rows, &Ui { wide, help, ..ui() }, width, height);
            }
        }
    }
    let lines = lines(&picture(&[], &ui(), 80, 24));
    assert!(words(&lines).contains("There is no queue in /dev/shm"));
    // The chosen one is in sight, wherever it is.
    let last = Ui { chosen: Some("queue-39".into()), ..ui() };
    line(&self::lines(&picture(&many, &last, 80, 24)), "queue-39");
}
