//! Fetched prices in one SQLite file, kept without limit: AWS returns spot prices of 90 days only.
//!
//! AWS's data on a region is stored completely or not at all, and storing it twice changes nothing: a run that was
//! killed can be repeated, and two concurrent runs do no harm.

mod file;

use std::path::{Path, PathBuf};

use cml_cloud::{SpotPrice, UsdPerGibMonth, UsdPerHour};
use jiff::Timestamp;
use rusqlite::types::FromSql;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior};
use rust_decimal::Decimal;

use crate::{Book, OnDemandPrice, VolumePrice};

pub use file::StoreError;

/// Steps from one version of the schema to the next. Times are milliseconds since 1970, prices decimal text.
const MIGRATIONS: &[&str] = &["
CREATE TABLE on_demand (
    region TEXT NOT NULL, instance_type TEXT NOT NULL, effective INTEGER NOT NULL,
    asked INTEGER NOT NULL, price TEXT NOT NULL,
    PRIMARY KEY (region, instance_type, effective)
) STRICT, WITHOUT ROWID;
CREATE TABLE volumes (
    region TEXT NOT NULL, effective INTEGER NOT NULL, asked INTEGER NOT NULL, price TEXT NOT NULL,
    PRIMARY KEY (region, effective)
) STRICT, WITHOUT ROWID;
CREATE TABLE spot (
    region TEXT NOT NULL, instance_type TEXT NOT NULL, zone TEXT NOT NULL, since INTEGER NOT NULL,
    price TEXT NOT NULL,
    PRIMARY KEY (region, instance_type, zone, since)
) STRICT, WITHOUT ROWID;
CREATE TABLE spot_asked (
    region TEXT NOT NULL, instance_type TEXT NOT NULL, since INTEGER NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (region, instance_type, since)
) STRICT, WITHOUT ROWID;
"];

/// AWS's data on one region at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The region.
    pub region: String,
    /// Time of the queries, before the first response.
    pub asked: Timestamp,
    /// List prices.
    pub on_demand: Vec<OnDemandPrice>,
    /// Price of gp3 storage.
    pub volume: Option<VolumePrice>,
    /// Changes of spot prices.
    pub spot: Vec<SpotAnswer>,
}

/// All changes of the spot prices of some types from a time up to the query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpotAnswer {
    /// The types.
    pub types: Vec<String>,
    /// Start of the span.
    pub since: Timestamp,
    /// The changes, including the prices in force at `since`.
    pub changes: Vec<SpotPrice>,
}

/// Number of new prices in an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportStats {
    /// List prices, including those of storage.
    pub listed: usize,
    /// Changes of spot prices.
    pub spot: usize,
}

/// Fetched prices in a file that several processes may have open.
pub struct Store {
    path: PathBuf,
    connection: Connection,
}

impl Store {
    /// Opens the file, creates it and updates its schema as needed. Only its owner can read it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self { path: path.to_owned(), connection: file::open(path, MIGRATIONS)? })
    }

    /// Returns the shipped prices, and those of the file at `path` from `since` on (all, if `None`); without a file,
    /// the shipped ones only.
    ///
    /// # Errors
    /// [`StoreError`]: an unreadable file is not treated as a missing one.
    pub fn book(path: &Path, since: Option<Timestamp>) -> Result<Book, StoreError> {
        if !path.try_exists().map_err(|error| file::other(path, &error))? {
            return Ok(Book::shipped());
        }
        // Prices decide what is bought: a file that other users could have written is not trusted.
        cml_cloud::private::refuse_foreign(path).map_err(|error| file::other(path, &error))?;
        Self::open(path)?.read(since)
    }

    /// Returns the time up to which the spot prices of a type in a region are known; `None` when they were never
    /// fetched.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn spot_known_until(
        &self,
        region: &str,
        instance_type: &str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let select = "SELECT max(until) FROM spot_asked WHERE region = ?1 AND instance_type = ?2";
        let read = self.connection.query_row(select, (region, instance_type), |row| row.get(0));
        let until: Option<i64> = read.map_err(|error| self.told(&error))?;
        until.map(|until| self.time(until)).transpose()
    }

    /// Stores AWS's data on a region: all of it, or nothing.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was written then.
    pub fn put(&mut self, fetched: &Fetched) -> Result<ImportStats, StoreError> {
        let path = self.path.clone();
        let told = |error: rusqlite::Error| file::told(&path, &error);
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(told)?;
        let listed = put_listed(&transaction, fetched).map_err(told)?;
        let mut spot = 0;
        for answer in &fetched.spot {
            spot += put_spot(&transaction, fetched, answer).map_err(told)?;
        }
        transaction.commit().map_err(told)?;
        Ok(ImportStats { listed, spot })
    }

    fn read(&self, since: Option<Timestamp>) -> Result<Book, StoreError> {
        let mut book = Book::shipped();
        self.rows("SELECT region, instance_type, effective, asked, price FROM on_demand", [], |row| {
            let (effective, asked) = (self.time(self.get(row, 2)?)?, self.time(self.get(row, 3)?)?);
            let price = OnDemandPrice {
                region: self.get(row, 0)?,
                instance_type: self.get(row, 1)?,
                price: UsdPerHour(self.price(row, 4)?),
                effective,
            };
            book.add_on_demand(price, asked);
            Ok(())
        })?;
        self.rows("SELECT region, effective, asked, price FROM volumes", [], |row| {
            let (effective, asked) = (self.time(self.get(row, 1)?)?, self.time(self.get(row, 2)?)?);
            let price = UsdPerGibMonth(self.price(row, 3)?);
            book.add_volume(VolumePrice { region: self.get(row, 0)?, price, effective }, asked);
            Ok(())
        })?;
        self.read_spot(&mut book, since)?;
        Ok(book)
    }

    fn read_spot(&self, book: &mut Book, since: Option<Timestamp>) -> Result<(), StoreError> {
        // Including the price in force when that time begins.
        let select = "SELECT region, instance_type, zone, since, price FROM spot AS one WHERE since >= coalesce((
            SELECT max(since) FROM spot AS other WHERE other.region = one.region
            AND other.instance_type = one.instance_type AND other.zone = one.zone AND other.since <= ?1), ?1)";
        self.rows(select, [since.map_or(i64::MIN, Timestamp::as_millisecond)], |row| {
            let zone: String = self.get(row, 2)?;
            book.add_spot(SpotPrice {
                region: self.get(row, 0)?,
                zone: Some(zone).filter(|zone| !zone.is_empty()),
                instance_type: self.get(row, 1)?,
                since: self.time(self.get(row, 3)?)?,
                price: UsdPerHour(self.price(row, 4)?),
            });
            Ok(())
        })?;
        self.rows("SELECT region, instance_type, since, until FROM spot_asked", [], |row| {
            let (region, instance_type): (String, String) = (self.get(row, 0)?, self.get(row, 1)?);
            let (from, until) = (self.time(self.get(row, 2)?)?, self.time(self.get(row, 3)?)?);
            book.spot_asked(&region, &instance_type, from, until);
            Ok(())
        })
    }

    fn rows(
        &self,
        select: &str,
        parameters: impl rusqlite::Params,
        mut each: impl FnMut(&Row<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = self.connection.prepare(select).map_err(|error| self.told(&error))?;
        let mut rows = statement.query(parameters).map_err(|error| self.told(&error))?;
        while let Some(row) = rows.next().map_err(|error| self.told(&error))? {
            each(row)?;
        }
        Ok(())
    }

    fn get<T: FromSql>(&self, row: &Row<'_>, column: usize) -> Result<T, StoreError> {
        row.get(column).map_err(|error| self.told(&error))
    }

    fn price(&self, row: &Row<'_>, column: usize) -> Result<Decimal, StoreError> {
        let text: String = self.get(row, column)?;
        text.parse().map_err(|_| file::other(&self.path, &format!("{text:?} is no price")))
    }

    fn time(&self, milliseconds: i64) -> Result<Timestamp, StoreError> {
        Timestamp::from_millisecond(milliseconds).map_err(|error| file::other(&self.path, &error))
    }

    fn told(&self, error: &rusqlite::Error) -> StoreError {
        file::told(&self.path, error)
    }
}

/// A stored price counts as new again once AWS has repeated it.
fn put_listed(transaction: &Transaction<'_>, fetched: &Fetched) -> rusqlite::Result<usize> {
    let asked = fetched.asked.as_millisecond();
    let mut new = 0;
    for it in &fetched.on_demand {
        let key = (&it.region, &it.instance_type, it.effective.as_millisecond());
        let known = "SELECT 1 FROM on_demand WHERE region = ?1 AND instance_type = ?2 AND effective = ?3";
        new += usize::from(!transaction.prepare_cached(known)?.exists(key)?);
        let insert = "INSERT INTO on_demand (region, instance_type, effective, asked, price) VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT DO UPDATE SET asked = excluded.asked, price = excluded.price WHERE excluded.asked > asked";
        let price = it.price.0.to_string();
        transaction.prepare_cached(insert)?.execute((key.0, key.1, key.2, asked, price))?;
    }
    if let Some(it) = &fetched.volume {
        let key = (&it.region, it.effective.as_millisecond());
        let known = "SELECT 1 FROM volumes WHERE region = ?1 AND effective = ?2";
        new += usize::from(!transaction.prepare_cached(known)?.exists(key)?);
        let insert = "INSERT INTO volumes (region, effective, asked, price) VALUES (?1, ?2, ?3, ?4)
            ON CONFLICT DO UPDATE SET asked = excluded.asked, price = excluded.price WHERE excluded.asked > asked";
        transaction.prepare_cached(insert)?.execute((key.0, key.1, asked, it.price.0.to_string()))?;
    }
    Ok(new)
}

fn put_spot(
    transaction: &Transaction<'_>,
    fetched: &Fetched,
    answer: &SpotAnswer,
) -> rusqlite::Result<usize> {
    // AWS does not change the past: the first response stays.
    let insert = "INSERT INTO spot (region, instance_type, zone, since, price) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING";
    let mut insert = transaction.prepare_cached(insert)?;
    let mut new = 0;
    for it in &answer.changes {
        let zone = it.zone.as_deref().unwrap_or_default();
        let since = it.since.as_millisecond();
        new += insert.execute((&it.region, &it.instance_type, zone, since, it.price.0.to_string()))?;
    }
    let (since, until) = (answer.since.as_millisecond(), fetched.asked.as_millisecond());
    for name in &answer.types {
        put_span(transaction, &fetched.region, name, since, until)?;
    }
    Ok(new)
}

/// Merges spans that touch, so that a year of days is one row.
fn put_span(
    transaction: &Transaction<'_>,
    region: &str,
    instance_type: &str,
    since: i64,
    until: i64,
) -> rusqlite::Result<()> {
    let touching = "region = ?1 AND instance_type = ?2 AND since <= ?4 AND until >= ?3";
    let select = format!(
        "SELECT coalesce(min(min(since), ?3), ?3), coalesce(max(max(until), ?4), ?4) FROM spot_asked WHERE {touching}"
    );
    let span: (i64, i64) = transaction
        .query_row(&select, (region, instance_type, since, until), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let delete = format!("DELETE FROM spot_asked WHERE {touching}");
    transaction.execute(&delete, (region, instance_type, since, until))?;
    let insert = "INSERT INTO spot_asked (region, instance_type, since, until) VALUES (?1, ?2, ?3, ?4)";
    transaction.execute(insert, (region, instance_type, span.0, span.1))?;
    Ok(())
}
