use crate::args::{DemoArgs, PartArgs};
use crate::failure::Failure;
pub fn run(_: &DemoArgs) -> Result<(), Failure> {
    Ok(())
}
pub fn part(_: &PartArgs) -> Result<(), Failure> {
    Ok(())
}
