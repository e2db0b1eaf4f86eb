//! Workloads of a kind, which stand together on the page.

use super::names::unique;
use crate::results::{Cell, Comparison, Placed, Report};

/// The section whose ratios are not in the summary's table.
pub const REGIMES: &str = "Regimes";

/// Workloads of a kind.
pub struct Section<'a> {
    /// Their kind.
    pub name: &'a str,
    /// Where links lead.
    pub id: String,
    /// In the order of the run.
    pub workloads: Vec<&'a Comparison>,
    /// Names of the run's placements.
    pub placements: Vec<&'a str>,
}

impl<'a> Section<'a> {
    /// Those of a run: tables of sizes first, then the rest.
    pub fn all(report: &'a Report) -> Vec<Self> {
        const REST: &str = "Waiting";
        let name =
            |workload: &'a Comparison| workload.cell.as_ref().map_or(REST, |cell| cell.section.as_str());
        let placements: Vec<&str> =
            report.placements.iter().map(|placement| placement.name.as_str()).collect();
        let section = |section: &'a str| Section {
            name: section,
            id: section.to_lowercase().replace([' ', ','], "-"),
            workloads: report.workloads.iter().filter(|workload| name(workload) == section).collect(),
            placements: placements.clone(),
        };
        unique(report.workloads.iter().map(name)).into_iter().map(section).collect()
    }

    /// What stands in a table of sizes, in one placement.
    pub fn cells(&self, placement: &str) -> impl Iterator<Item = (&'a Cell, &'a Placed)> {
        self.workloads.iter().filter_map(move |workload| {
            let placed = workload.placements.iter().find(|p| p.placement.as_deref() == Some(placement))?;
            Some((workload.cell.as_ref()?, placed))
        })
    }
}
