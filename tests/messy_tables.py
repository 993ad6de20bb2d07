"""Twelve messy tables, as people have them: `python tests/messy_tables.py FOLDER` writes them."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

ROWS = 600


def shop(folder: Path, rng: np.random.Generator) -> Path:
    """Orders of a shop: identifiers, dates, prices with currency, a total that is a product, discounts that are mostly zero."""
    quantity = rng.integers(1, 9, ROWS)
    price = np.round(rng.gamma(3.0, 12.0, ROWS) + 1, 2)
    discount = np.where(rng.random(ROWS) < 0.7, 0.0, np.round(rng.gamma(2.0, 3.0, ROWS), 2))
    days = rng.integers(0, 365, ROWS)
    lines = ["order_id,ordered,customer,quantity,unit price,discount,total,status"]
    for i in range(ROWS):
        day = date(2023, 1, 1) + timedelta(days=int(days[i]))
        total = quantity[i] * price[i]
        status = ("paid", "open", "", "returned")[int(rng.choice(4, p=[0.6, 0.2, 0.05, 0.15]))]
        amounts = f'{quantity[i]},"${price[i]:,.2f}",{discount[i]},"{total:,.2f}"'
        lines.append(f"A-{i + 1001},{day:%d/%m/%Y},cust{rng.integers(900)},{amounts},{status}")
    path = folder / "shop.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def ledger(folder: Path, rng: np.random.Generator) -> Path:
    """A ledger from a European spreadsheet: semicolons, decimal commas, dots of thousands, Latin-1, a sep= line, CRLF."""
    net = np.round(rng.lognormal(7.5, 1.0, ROWS), 2)
    lines = ["sep=;", "Beleg;Datum;Straße;Netto;Steuer;Brutto;Währung"]
    for i in range(ROWS):
        day = date(2022, 6, 1) + timedelta(days=int(rng.integers(0, 500)))
        tax = round(0.19 * net[i], 2)
        amounts = [
            f"{v:,.2f}".replace(",", "_").replace(".", ",").replace("_", ".")
            for v in (net[i], tax, round(net[i] + tax, 2))
        ]
        street = ("Hauptstraße", "Gärtnerweg", "Am Bühl", "Ring")[rng.integers(4)]
        lines.append(f"{10_000 + i};{day:%d.%m.%Y};{street};{amounts[0]};{amounts[1]};{amounts[2]};EUR")
    path = folder / "ledger.csv"
    path.write_bytes(("\r\n".join(lines) + "\r\n").encode("latin-1"))
    return path


def sensors(folder: Path, rng: np.random.Generator) -> Path:
    """Readings of sensors: timestamps with a zone, -999 for no reading, a capped value, gzip and comment lines."""
    times = [datetime(2024, 3, 1) + timedelta(minutes=10 * i) for i in range(ROWS)]
    temperature = np.round(12 + 8 * np.sin(np.arange(ROWS) / 23) + rng.normal(0, 1, ROWS), 1)
    humidity = np.round(np.clip(70 - 1.5 * temperature + rng.normal(0, 15, ROWS), 0, 100))
    wind = np.round(rng.weibull(1.5, ROWS) * 4, 2)
    temperature[rng.random(ROWS) < 0.04] = -999
    lines = ["# station 7, ten minutes", "# units: C, %, m/s", "time,temp,humidity,wind,ok"]
    lines += [
        f"{t:%Y-%m-%dT%H:%M:%S}Z,{a},{b:g},{c},{str(rng.random() < 0.97).lower()}"
        for t, a, b, c in zip(times, temperature, humidity, wind, strict=True)
    ]
    path = folder / "sensors.csv.gz"
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


def survey(folder: Path, rng: np.random.Generator) -> Path:
    """A survey in UTF-16 with tabs: answers on scales, gaps in many forms, free text, ages with ?."""
    lines = ["respondent\tage\tgender\tsatisfaction\trecommend\tcomment\tincome"]
    words = ["good", "bad", "service", "price", "quick", "slow", "never", "again", "maybe", "nice"]
    for i in range(ROWS):
        age = "?" if rng.random() < 0.05 else str(int(np.clip(rng.normal(45, 15), 18, 90)))
        gender = ("female", "male", "other", "")[int(rng.choice(4, p=[0.48, 0.46, 0.02, 0.04]))]
        comment = " ".join(rng.choice(words, 6)) + f" {i}"
        income = "n/a" if rng.random() < 0.2 else f"{1000 * int(rng.lognormal(3.6, 0.5))}"
        lines.append(f"{i}\t{age}\t{gender}\t{rng.integers(1, 6)}\t{rng.integers(0, 11)}\t{comment}\t{income}")
    path = folder / "survey.tsv"
    path.write_bytes(("\n".join(lines) + "\n").encode("utf-16"))
    return path


def stocks(folder: Path, rng: np.random.Generator) -> Path:
    """Daily returns in percent with heavy tails, a spread that is a difference, and an index column of pandas."""
    a = np.round(rng.standard_t(4, ROWS) * 1.2, 3)
    b = np.round(0.6 * a + rng.standard_t(4, ROWS), 3)
    lines = [",date,A,B,spread"]
    for i in range(ROWS):
        day = date(2019, 1, 1) + timedelta(days=i)
        lines.append(f"{i},{day},{a[i]}%,{b[i]}%,{round(a[i] - b[i], 3)}")
    path = folder / "stocks.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def patients(folder: Path, rng: np.random.Generator) -> Path:
    """Patients: values below a limit of detection, a unicode minus, Yes/No, ZIP codes, trailing commas."""
    lines = ["patient,zip,sex,marker,change,smoker,visits"]
    for i in range(ROWS):
        marker = rng.lognormal(0.5, 0.9)
        shown = "<0.5" if marker < 0.5 else f"{marker:.2f}"
        change = f"{rng.normal(-0.5, 2):.1f}".replace("-", "−")
        zips = ("01067", "04109", "10115", "80331")[rng.integers(4)]
        visits = min(int(rng.geometric(0.3)), 12)
        lines.append(
            f"P{i:05d},{zips},{'MF'[rng.integers(2)]},{shown},{change},{('Yes', 'No')[rng.integers(2)]},{visits},"
        )
    path = folder / "patients.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def mac(folder: Path, rng: np.random.Generator) -> Path:
    """Line ends of an old Macintosh, a byte order mark, spaces around names and entries, years as names of columns."""
    values = np.round(rng.normal([10, 12, 15], [2, 3, 2], (ROWS, 3)), 2)
    lines = ["2019, 2020, 2021", *(" , ".join(map(str, row)) for row in values)]
    path = folder / "mac.csv"
    path.write_bytes(("\r".join(lines) + "\r").encode("utf-8-sig"))
    return path


def events(folder: Path, rng: np.random.Generator) -> Path:
    """JSON records: dates as text, missing keys, a list that cannot be used, truth values with gaps."""
    lines = []
    for i in range(ROWS):
        when = datetime(2023, 5, 1) + timedelta(seconds=int(rng.integers(0, 10**7)))
        parts = [
            f'"when": "{when:%Y-%m-%d %H:%M:%S}"',
            f'"kind": "{("click", "view", "buy")[rng.integers(3)]}"',
            '"tags": ["a", "b"]',
        ]
        if rng.random() < 0.8:
            parts.append(f'"value": {rng.gamma(2.0):.3f}')
        if rng.random() < 0.9:
            parts.append(f'"new": {str(rng.random() < 0.3).lower()}')
        parts.append(f'"n": {i % 7}')
        lines.append("{" + ", ".join(parts) + "}")
    path = folder / "events.json"
    path.write_text("[" + ",\n".join(lines) + "]")
    return path


def warehouse(folder: Path, rng: np.random.Generator) -> Path:
    """Parquet with decimals, dictionaries, dates, times, gaps in whole numbers, and nested columns."""
    size = ROWS
    frame = pl.DataFrame(
        {
            "sku": [f"SKU{i:06d}" for i in range(size)],
            "price": np.round(rng.gamma(2.0, 10.0, size), 2),
            "kind": rng.choice(["bolt", "nut", "NA", "null", ""], size),
            "arrived": [date(2021, 1, 1) + timedelta(days=int(d)) for d in rng.integers(0, 700, size)],
            "opened": [
                (datetime(2021, 1, 1) + timedelta(minutes=int(m))).time() for m in rng.integers(420, 1200, size)
            ],
            "stock": [None if rng.random() < 0.1 else int(v) for v in rng.poisson(4, size)],
            "dims": [[1, 2]] * size,
        }
    ).with_columns(pl.col("price").cast(pl.Decimal(10, 2)), pl.col("kind").cast(pl.Categorical))
    path = folder / "warehouse.parquet"
    frame.write_parquet(path)
    return path


def sheet(folder: Path, rng: np.random.Generator) -> Path:
    """A sheet: repeated names, an unnamed column, blank lines, thousands in quotes, times of day."""
    lines = ["name,value,value,,start"]
    for i in range(ROWS):
        clock = f"{rng.integers(7, 19):02d}:{15 * rng.integers(4):02d}"
        lines.append(f'"n{i % 5}","{rng.integers(1000, 90000):,}",{rng.normal():.3f},{rng.integers(2)},{clock}')
        if i % 100 == 50:
            lines.append("")
    path = folder / "sheet.csv"
    path.write_text("\r\n".join(lines) + "\r\n")
    return path


def rain(folder: Path, rng: np.random.Generator) -> Path:
    """Rain that is zero on most days, capped at 50, and a measured column in steps of a quarter; spaces as thousands."""
    wet = rng.random(ROWS) < 0.3
    amount = np.where(wet, np.minimum(rng.gamma(0.8, 20.0, ROWS), 50.0), 0.0)
    level = np.round(rng.normal(20, 4, ROWS) * 4) / 4
    people = rng.integers(1_000, 900_000, ROWS)
    lines = [
        "rain|level|people",
        *(f"{a:.1f}|{b}|{p:,}".replace(",", "\u202f") for a, b, p in zip(amount, level, people, strict=True)),
    ]
    path = folder / "rain.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def machine(folder: Path, rng: np.random.Generator) -> Path:
    """A log with constant and empty columns, large identifiers, infinite numbers, and a column of few repeated values."""
    load = rng.choice([0.1, 0.25, 0.4, 0.55, 0.75, 0.9, 1.1, 1.3, 1.5, 1.8, 2.2, 2.7, 3.1, 4.05], ROWS)
    heat = np.round(20 + 9 * load + rng.normal(0, 2, ROWS), 4)
    lines = ["hash,version,empty,load,heat,code"]
    for i in range(ROWS):
        shown = "inf" if rng.random() < 0.01 else heat[i]
        lines.append(f"{rng.integers(2**60, 2**62)},v1,,{load[i]},{shown},{('E1', 'E2', 'OK', 'OK')[rng.integers(4)]}")
    path = folder / "machine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


TABLES: dict[str, Callable[[Path, np.random.Generator], Path]] = {
    make.__name__: make
    for make in (shop, ledger, sensors, survey, stocks, patients, mac, events, warehouse, sheet, rain, machine)
}


def make_table(name: str, folder: Path) -> Path:
    """Write one of the tables to a folder, and return its path."""
    return TABLES[name](folder, np.random.default_rng(7))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for table in TABLES:
        print(make_table(table, target))
