//! What the torture says at its end.

use super::footprint::{Footprint, Growth};
use super::note::Wrong;
use super::tally::{Moment, Tally};
use crate::args::Plant;
use serde::Serialize;
use shmq_tool::failure::Failure;
use shmq_tool::print;
use shmq_tool::units::{show_bytes, show_count, show_duration};
use std::path::PathBuf;
use std::time::Duration;

/// The outcome. As it stands it is the JSON: names and units are part of the schema.
#[derive(Debug, Serialize)]
pub struct Report {
    pub schema: &'static str,
    pub ok: bool,
    pub seed: u64,
    pub plant: Option<&'static str>,
    pub elapsed_ns: u64,
    pub queues: u64,
    pub messages: u64,
    pub bytes: u64,
    pub kills: u64,
    pub kills_per_minute: u64,
    pub producer_kills: u64,
    pub consumer_kills: u64,
    pub kills_starting: u64,
    pub kills_taking_a_role: u64,
    pub kills_in_a_call: u64,
    pub kills_between_calls: u64,
    pub kills_while_stopped: u64,
    pub stops: u64,
    pub looks_at_stopped: u64,
    pub rivals_refused: u64,
    pub takeovers: u64,
    pub told_lost: u64,
    pub told_left: u64,
    pub redelivered_lawfully: u64,
    pub lost: u64,
    pub torn: u64,
    pub out_of_order: u64,
    pub redelivered_beyond_allowance: u64,
    pub split: u64,
    pub living_called_dead: u64,
    pub failed_operations: u64,
    pub crashed: u64,
    pub stuck: u64,
    pub parent: Growth,
    pub ends: Vec<Held>,
    /// What went wrong, in words.
    pub why: Vec<String>,
    /// Left behind for whoever wants to see.
    pub kept: Vec<PathBuf>,
}

/// What an end held in a soak.
#[derive(Debug, Serialize)]
pub struct Held {
    pub end: String,
    #[serde(flatten)]
    pub growth: Growth,
}

impl Report {
    pub fn new(
        seed: u64,
        elapsed: Duration,
        plant: Option<Plant>,
        tally: Tally,
        first: Footprint,
        last: Footprint,
    ) -> Self {
        let wrong = |what: Wrong| tally.wrong[what as usize];
        let moment = |when: Moment| tally.moments[when as usize];
        let kills = tally.kills();
        // What was kept on purpose is no leak.
        let last = Footprint { files: last.files - (tally.kept.len() as u64).min(last.files), ..last };
        let parent = Growth { first, last };
        let mut why = tally.why.clone();
        why.extend(parent.complaint("the parent"));
        why.extend(tally.ends.iter().filter_map(|(end, growth)| growth.complaint(end)));
        Self {
            schema: "shmq.torture/1",
            ok: why.is_empty(),
            seed,
            plant: plant.map(Plant::name),
            elapsed_ns: elapsed.as_nanos() as u64,
            queues: tally.queues,
            messages: tally.messages,
            bytes: tally.bytes,
            kills,
            kills_per_minute: (kills as f64 / elapsed.as_secs_f64() * 60.0) as u64,
            producer_kills: tally.producer_kills,
            consumer_kills: tally.consumer_kills,
            kills_starting: moment(Moment::Starting),
            kills_taking_a_role: moment(Moment::Taking),
            kills_in_a_call: moment(Moment::Calling),
            kills_between_calls: moment(Moment::Between),
            kills_while_stopped: tally.stopped_kills,
            stops: tally.stops,
            looks_at_stopped: tally.looks,
            rivals_refused: tally.rivals,
            takeovers: tally.takeovers,
            told_lost: tally.told_lost,
            told_left: tally.told_left,
            redelivered_lawfully: tally.again,
            lost: wrong(Wrong::Lost),
            torn: wrong(Wrong::Torn),
            out_of_order: wrong(Wrong::OutOfOrder),
            redelivered_beyond_allowance: wrong(Wrong::Repeated),
            split: wrong(Wrong::Split),
            living_called_dead: wrong(Wrong::CalledDead),
            failed_operations: wrong(Wrong::Refused),
            crashed: tally.crashed,
            stuck: tally.stuck,
            parent,
            ends: tally.ends.into_iter().map(|(end, growth)| Held { end, growth }).collect(),
            why,
            kept: tally.kept,
        }
    }

    /// Says it; an error if anything went wrong.
    pub fn print(&self, json: bool) -> Result<(), Failure> {
        if json {
            let text = serde_json::to_string_pretty(self);
            let text = text.map_err(|e| Failure::new(format!("cannot write the outcome: {e}")))?;
            print::out(text + "\n")?;
        } else {
            print::out(self.table())?;
        }
        if self.ok {
            return Ok(());
        }
        let mut text = self.why.join("; ");
        text += &format!("; the seed was {}", self.seed);
        for path in &self.kept {
            text += &format!("; kept: {}", shmq_tool::units::shown(path));
        }
        Err(Failure::new(text))
    }

    fn table(&self) -> String {
        let count = show_count;
        let time = show_duration(Duration::from_nanos(self.elapsed_ns));
        let mut rows = vec![
            ("time", format!("{time}, {} queues", count(self.queues))),
            ("messages", format!("{}, {}", count(self.messages), show_bytes(self.bytes))),
            (
                "killed",
                format!(
                    "{} producers, {} consumers: {} a minute",
                    count(self.producer_kills),
                    count(self.consumer_kills),
                    count(self.kills_per_minute)
                ),
            ),
            (
                "when",
                format!(
                    "{} in a call, {} between calls, {} taking or leaving the role, {} before",
                    count(self.kills_in_a_call),
                    count(self.kills_between_calls),
                    count(self.kills_taking_a_role),
                    count(self.kills_starting)
                ),
            ),
            (
                "stopped",
                format!(
                    "{}, {} of them then killed; {} looks found them attached, {} rivals were refused",
                    count(self.stops),
                    count(self.kills_while_stopped),
                    count(self.looks_at_stopped),
                    count(self.rivals_refused)
                ),
            ),
            ("taken over", count(self.takeovers)),
            (
                "told",
                format!(
                    "{} times that the other end died, {} that it left",
                    count(self.told_lost),
                    count(self.told_left)
                ),
            ),
            ("seen again", format!("{} messages, as allowed", count(self.redelivered_lawfully))),
        ];
        let zeros = [
            ("lost", self.lost),
            ("torn", self.torn),
            ("out of order", self.out_of_order),
            ("seen again beyond the allowance", self.redelivered_beyond_allowance),
            ("batches or runs in part", self.split),
            ("living processes called dead", self.living_called_dead),
            ("failed operations", self.failed_operations),
            ("crashed", self.crashed),
            ("stuck", self.stuck),
        ];
        rows.extend(zeros.map(|(name, value)| (name, count(value))));
        rows.push(("parent", held(&self.parent)));
        rows.extend(self.ends.iter().map(|end| (end.end.as_str(), held(&end.growth))));
        let mut text: String = rows.iter().map(|(name, value)| format!("{name:<33}{value}\n")).collect();
        text += if self.ok { "all whole\n" } else { "BROKEN\n" };
        text
    }
}

fn held(growth: &Growth) -> String {
    let Growth { first, last } = growth;
    format!(
        "{} then {} of memory, {} then {} descriptors, {} then {} files",
        show_bytes(first.private_bytes),
        show_bytes(last.private_bytes),
        first.descriptors,
        last.descriptors,
        first.files,
        last.files
    )
}
