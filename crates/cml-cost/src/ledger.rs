//! The ledger as a table on the disk: built from journals, record by record, and queried by reports. It can be rebuilt
//! at any time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cml_cloud::{Deadline, LaunchId, Market, Offer, Usd};
use cml_journal::{Event, LedgerEntry, Record, SqliteJournal, State};
use cml_planner::JobId;
use cml_prices::Book;
use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::interner::Interner;
use crate::query::Window;
use crate::split::{Intern, JobNames, cut};
use crate::usage_row::{Kind, Nanos, Symbol, UsageRow, usd};

/// Number of records that are read at once.
const CHUNK: u32 = 20_000;
const MIGRATIONS: &[&str] = &["
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE sources (
    path TEXT PRIMARY KEY, first_line TEXT NOT NULL, seen INTEGER NOT NULL, fold_from INTEGER NOT NULL
) STRICT;
CREATE TABLE launches (launch TEXT PRIMARY KEY, made INTEGER NOT NULL, cost INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, spec INTEGER NOT NULL, name INTEGER NOT NULL, run_id INTEGER NOT NULL, came INTEGER NOT NULL,
    repository INTEGER NOT NULL, workflow INTEGER NOT NULL, branch INTEGER NOT NULL, actor INTEGER NOT NULL
) STRICT;
CREATE TABLE pieces (
    began INTEGER NOT NULL, ended INTEGER NOT NULL, kind INTEGER NOT NULL, flags INTEGER NOT NULL, market INTEGER NOT NULL,
    spec INTEGER NOT NULL, instance_type INTEGER NOT NULL, region INTEGER NOT NULL, zone INTEGER NOT NULL,
    job INTEGER NOT NULL, repository INTEGER NOT NULL, workflow INTEGER NOT NULL, branch INTEGER NOT NULL,
    actor INTEGER NOT NULL, machine INTEGER NOT NULL, disk INTEGER NOT NULL
) STRICT;
"];
const INSERT: &str =
    "INSERT INTO pieces VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
const BEGINS_MACHINE: i64 = 1;
const BEGINS_JOB: i64 = 2;
const IS_ESTIMATE: i64 = 4;

/// Error: the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A journal cannot be read.
    #[error(transparent)]
    Journal(#[from] cml_journal::JournalError),
    /// Another process is writing.
    #[error("{}: another process has been writing for more than 5 s: try again", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// The ledger's own file is at fault.
    #[error("{}: {cause}; it is made from the journals: remove it, and it is made again", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// SQLite's message.
        cause: String,
    },
}

/// The ledger's file.
pub struct Ledger {
    path: PathBuf,
    connection: Connection,
    names: Interner,
    /// Machines that exist, by the journals read so far.
    living: BTreeMap<LaunchId, (LedgerEntry, Deadline)>,
}

impl Ledger {
    /// Opens the file and creates it as needed. Only its owner can read it.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        let connection = cml_journal::open_database(path, MIGRATIONS)?;
        let mut ledger =
            Self { path: path.to_owned(), connection, names: Interner::default(), living: BTreeMap::new() };
        ledger.names = ledger.read_names().map_err(|error| ledger.failed(&error))?;
        Ok(ledger)
    }

    /// Returns the names that rows refer to.
    #[must_use]
    pub fn names(&self) -> &Interner {
        &self.names
    }

    /// Returns the offers that the existing machines were bought as, by launch.
    #[must_use]
    pub fn bought(&self) -> BTreeMap<LaunchId, Offer> {
        self.living.iter().map(|(launch, (entry, _))| (*launch, entry.offer.clone())).collect()
    }

    fn failed(&self, error: &rusqlite::Error) -> LedgerError {
        told(&self.path, error)
    }

    fn read_names(&self) -> rusqlite::Result<Interner> {
        let mut select = self.connection.prepare("SELECT id, name FROM names")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(Symbol, String)>>>().map(Interner::of)
    }

    /// Imports the new records of a journal. A machine that another journal has too is counted once.
    ///
    /// # Errors
    /// [`LedgerError`]; of this call only complete chunks are kept then.
    pub fn take_in(&mut self, path: &Path, now: Timestamp, book: &Book) -> Result<(), LedgerError> {
        let journal = SqliteJournal::open_to_read(path)?;
        let source = path.display().to_string();
        let Some(first) = journal.read_some_after(0, 1)?.pop() else { return Ok(()) };
        let first = format!("{first:?}");
        // A journal that begins with another record is another journal, whatever its path.
        let known = self.source(&source, &first).map_err(|error| self.failed(&error))?;
        let (mut seen, fold_from) = known.unwrap_or((0, 1));
        let mut state = State::default();
        let mut last = fold_from - 1;
        loop {
            let lines = journal.read_some_after(last, CHUNK)?;
            let Some(newest) = lines.last().map(|line| line.seq) else { break };
            let (old, new) = lines.split_at(lines.partition_point(|line| line.seq <= seen));
            state.apply_all(old);
            state.take_ledger();
            if !new.is_empty() {
                state.apply_all(new);
                let gone = state.take_ledger();
                let fold_from = state.oldest_line().unwrap_or(newest + 1);
                seen = newest;
                self.keep((&source, &first), (seen, fold_from), new, &gone, book)?;
            }
            last = newest;
        }
        // A machine that two journals have is counted once.
        self.living.extend(state.running(now).into_iter().map(|(entry, due)| (entry.launch, (entry, due))));
        Ok(())
    }

    fn source(&self, source: &str, first: &str) -> rusqlite::Result<Option<(i64, i64)>> {
        let known = "SELECT seen, fold_from FROM sources WHERE path = ?1 AND first_line = ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.connection.query_row(known, [source, first], read).optional()
    }

    fn keep(
        &mut self,
        (source, first): (&str, &str),
        (seen, fold_from): (i64, i64),
        lines: &[Record],
        gone: &[LedgerEntry],
        book: &Book,
    ) -> Result<(), LedgerError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| told(&path, &error);
        let mut names = self.names.clone();
        let transaction = immediate(&mut self.connection).map_err(failed)?;
        let mut writer = Writer { transaction: &transaction, names: &mut names };
        for line in lines {
            writer.job_came(line).map_err(failed)?;
        }
        for entry in gone {
            writer.keep(entry, book).map_err(failed)?;
        }
        let update = "INSERT OR REPLACE INTO sources VALUES (?1, ?2, ?3, ?4)";
        transaction.execute(update, params![source, first, seen, fold_from]).map_err(failed)?;
        transaction.commit().map_err(failed)?;
        self.names = names;
        Ok(())
    }

    /// Calls back with every row that ended after `from` and began before `to`.
    pub(crate) fn each(
        &self,
        from: i64,
        to: i64,
        mut with: impl FnMut(&UsageRow),
    ) -> Result<(), LedgerError> {
        let mut read = || -> rusqlite::Result<()> {
            let select = "SELECT * FROM pieces WHERE ended > ?1 AND began < ?2 ORDER BY rowid";
            let mut select = self.connection.prepare_cached(select)?;
            let mut rows = select.query([from, to])?;
            while let Some(row) = rows.next()? {
                if let Some(piece) = piece(row)? {
                    with(&piece);
                }
            }
            Ok(())
        };
        read().map_err(|error| self.failed(&error))
    }

    /// Calls back with the rows of machines that exist, up to now, each with its deadline.
    pub(crate) fn each_living(
        &mut self,
        book: &Book,
        mut with: impl FnMut(&LedgerEntry, Deadline, &[UsageRow]),
    ) -> Result<(), LedgerError> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| told(&path, &error);
        let mut names = self.names.clone();
        let transaction = immediate(&mut self.connection).map_err(failed)?;
        let mut writer = Writer { transaction: &transaction, names: &mut names };
        for (entry, deadline) in self.living.values() {
            if !writer.is_known(entry.launch).map_err(failed)? {
                let pieces = cut(entry, book, &mut writer).map_err(failed)?;
                with(entry, *deadline, &pieces);
            }
        }
        transaction.commit().map_err(failed)?;
        self.names = names;
        Ok(())
    }

    /// Returns the title of a job: `owner/name`, workflow, its own name, and its run.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn job(&self, job: i64) -> Result<Option<JobTitle>, LedgerError> {
        let select = "SELECT repository, workflow, name, run_id FROM jobs WHERE id = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?));
        let found = self.connection.query_row(select, [job], read).optional();
        let found: Option<(Symbol, Symbol, Symbol, i64)> = found.map_err(|error| self.failed(&error))?;
        let name = |id| self.names.name(id).to_owned();
        Ok(found.map(|(repository, workflow, own, run_id)| JobTitle {
            repository: name(repository),
            workflow: name(workflow),
            name: name(own),
            run_id,
        }))
    }

    /// Returns the cost of each machine that was launched in the window, by launch; existing ones count up to now.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn by_launch(&self, window: Window) -> Result<BTreeMap<String, Usd>, LedgerError> {
        let read = || -> rusqlite::Result<BTreeMap<String, Usd>> {
            let select = "SELECT launch, cost FROM launches WHERE made >= ?1 AND made < ?2";
            let mut select = self.connection.prepare(select)?;
            let rows = select.query_map([window.begins(), window.ends()], |row| {
                Ok((row.get(0)?, usd(row.get::<_, Nanos>(1)?.into())))
            })?;
            rows.collect()
        };
        let mut all = read().map_err(|error| self.failed(&error))?;
        for (launch, (entry, _)) in &self.living {
            if (window.begins()..window.ends()).contains(&launch.made_at().as_second()) {
                all.entry(launch.to_string()).or_insert(entry.cost);
            }
        }
        Ok(all)
    }

    /// Reads the names that another process has interned since.
    pub(crate) fn read_new_names(&mut self) -> Result<(), LedgerError> {
        self.names = self.read_names().map_err(|error| self.failed(&error))?;
        Ok(())
    }

    /// Returns how long jobs of each pool that arrived in the window waited for a machine, in seconds.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn waits(&self, window: Window) -> Result<BTreeMap<String, Vec<i64>>, LedgerError> {
        let select = "SELECT jobs.spec, min(pieces.began) - jobs.came FROM pieces JOIN jobs ON jobs.id = pieces.job \
                      WHERE jobs.came >= ?1 AND jobs.came < ?2 GROUP BY jobs.id";
        let read = || -> rusqlite::Result<BTreeMap<String, Vec<i64>>> {
            let mut select = self.connection.prepare(select)?;
            let mut rows = select.query([window.begins(), window.ends()])?;
            let mut waits: BTreeMap<String, Vec<i64>> = BTreeMap::new();
            while let Some(row) = rows.next()? {
                let (spec, wait): (Symbol, i64) = (row.get(0)?, row.get(1)?);
                waits.entry(self.names.name(spec).to_owned()).or_default().push(wait.max(0));
            }
            Ok(waits)
        };
        read().map_err(|error| self.failed(&error))
    }
}

/// Begins an immediate transaction: no other process writes between a read and a write, and a concurrent writer is
/// awaited.
fn immediate(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

fn told(path: &Path, error: &rusqlite::Error) -> LedgerError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => LedgerError::Busy { path },
        _ => LedgerError::Table { path, cause: error.to_string() },
    }
}

/// Title of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobTitle {
    /// `owner/name`.
    pub repository: String,
    /// The workflow's name.
    pub workflow: String,
    /// The job's own name.
    pub name: String,
    /// Its run.
    pub run_id: i64,
}

fn piece(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<UsageRow>> {
    let flags: i64 = row.get(3)?;
    let Some(kind) = Kind::numbered(row.get(2)?) else { return Ok(None) };
    Ok(Some(UsageRow {
        from: row.get(0)?,
        to: row.get(1)?,
        kind,
        begins_machine: flags & BEGINS_MACHINE != 0,
        begins_job: flags & BEGINS_JOB != 0,
        is_estimate: flags & IS_ESTIMATE != 0,
        market: if row.get::<_, i64>(4)? == 1 { Market::Spot } else { Market::OnDemand },
        spec: row.get(5)?,
        instance_type: row.get(6)?,
        region: row.get(7)?,
        zone: row.get(8)?,
        job: row.get(9)?,
        repository: row.get(10)?,
        workflow: row.get(11)?,
        branch: row.get(12)?,
        actor: row.get(13)?,
        machine: row.get(14)?,
        disk: row.get(15)?,
    }))
}

/// A writer within one transaction.
struct Writer<'a> {
    transaction: &'a Transaction<'a>,
    names: &'a mut Interner,
}

impl Writer<'_> {
    fn is_known(&self, launch: LaunchId) -> rusqlite::Result<bool> {
        let mut select = self.transaction.prepare_cached("SELECT 1 FROM launches WHERE launch = ?1")?;
        select.exists([launch.to_string()])
    }

    fn job_came(&mut self, line: &Record) -> rusqlite::Result<()> {
        let Event::JobCame { job, spec, facts } = &line.event else { return Ok(()) };
        let numbers = [spec, &facts.name, &facts.repository, &facts.workflow, &facts.branch, &facts.actor];
        let [spec, name, repository, workflow, branch, actor] = numbers;
        let mut number = |name: &str| self.number(name);
        let (spec, name, repository) = (number(spec)?, number(name)?, number(repository)?);
        let (workflow, branch, actor) = (number(workflow)?, number(branch)?, number(actor)?);
        let (id, run_id) = (i64::try_from(job.0), i64::try_from(facts.run_id));
        let insert = "INSERT OR IGNORE INTO jobs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let mut insert = self.transaction.prepare_cached(insert)?;
        let came = line.at.as_second();
        let (id, run_id) = (id.unwrap_or(0), run_id.unwrap_or(0));
        insert.execute(params![id, spec, name, run_id, came, repository, workflow, branch, actor])?;
        Ok(())
    }

    /// Stores an entry once, whichever journals contain it and however often.
    fn keep(&mut self, entry: &LedgerEntry, book: &Book) -> rusqlite::Result<()> {
        let pieces = cut(entry, book, self)?;
        let cost = pieces.iter().map(UsageRow::cost).fold(0, Nanos::saturating_add);
        let insert = "INSERT OR IGNORE INTO launches VALUES (?1, ?2, ?3)";
        let mut insert = self.transaction.prepare_cached(insert)?;
        if insert.execute(params![entry.launch.to_string(), entry.launch.made_at().as_second(), cost])? == 0 {
            return Ok(());
        }
        let mut insert = self.transaction.prepare_cached(INSERT)?;
        for it in pieces {
            let flags = i64::from(it.begins_machine) * BEGINS_MACHINE
                + i64::from(it.begins_job) * BEGINS_JOB
                + i64::from(it.is_estimate) * IS_ESTIMATE;
            insert.execute(params![
                it.from,
                it.to,
                it.kind as u8,
                flags,
                i64::from(it.market == Market::Spot),
                it.spec,
                it.instance_type,
                it.region,
                it.zone,
                it.job,
                it.repository,
                it.workflow,
                it.branch,
                it.actor,
                it.machine,
                it.disk,
            ])?;
        }
        Ok(())
    }
}

impl Intern for Writer<'_> {
    type Error = rusqlite::Error;

    fn number(&mut self, name: &str) -> rusqlite::Result<Symbol> {
        if let Some(id) = self.names.id(name) {
            return Ok(id);
        }
        // Another process may have interned it since.
        self.transaction.prepare_cached("INSERT OR IGNORE INTO names (name) VALUES (?1)")?.execute([name])?;
        let mut select = self.transaction.prepare_cached("SELECT id FROM names WHERE name = ?1")?;
        let id = select.query_row([name], |row| row.get(0))?;
        self.names.add(id, name);
        Ok(id)
    }

    fn job(&mut self, job: JobId) -> rusqlite::Result<JobNames> {
        let select = "SELECT repository, workflow, branch, actor FROM jobs WHERE id = ?1";
        let mut select = self.transaction.prepare_cached(select)?;
        let read = |row: &rusqlite::Row<'_>| {
            let (repository, workflow) = (row.get(0)?, row.get(1)?);
            Ok(JobNames { repository, workflow, branch: row.get(2)?, actor: row.get(3)? })
        };
        let known = select.query_row([i64::try_from(job.0).unwrap_or(0)], read).optional()?;
        Ok(known.unwrap_or_default())
    }
}
