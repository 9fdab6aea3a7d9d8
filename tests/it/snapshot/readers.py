"""Reads the forms of a snapshot with DuckDB and pyarrow and prints, a JSON document a reader, what each found.

readers.py forms COLUMNS FILE...   the rows of each file, as lists of these columns
readers.py folder FOLDER           what DuckDB and pyarrow make of a published folder
"""

import datetime
import json
import sys

import duckdb
import pyarrow
import pyarrow.dataset
import pyarrow.parquet

COLUMNS = []
# Numbers with a point: a whole one may come back as either kind.
POINTED = {"quantity_average", "coverage", "coverage_observed", "days_left"}
VALUES = ["resource_name", "attribute", "value"]


def plain(name, value):
    """As the JSON form writes it; in CSV several words stand in one cell, and nothing is empty."""
    if name == "tags":
        return (value or "").split() if value is None or isinstance(value, str) else list(value)
    if name == "site":
        return value or ""
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, datetime.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=datetime.timezone.utc)
        return aware.astimezone(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    if name in POINTED and value is not None:
        return float(value)
    return None if value == "" else value


def told(reader, file, rows):
    rows = [[plain(name, row[name]) for name in COLUMNS] for row in rows]
    rows.sort(key=lambda row: json.dumps(row))
    print(json.dumps({"reader": reader, "file": file, "rows": rows}))


def duck(file, **options):
    kinds = {"csv": duckdb.read_csv, "ndjson": duckdb.read_json, "json": duckdb.read_json, "parquet": duckdb.read_parquet}
    table = kinds[file.rsplit(".", 1)[1]](file, **options)
    return named(table.project(", ".join(set(table.columns) & set(COLUMNS + VALUES))))


def named(table):
    return [dict(zip(table.columns, row)) for row in table.fetchall()]


def forms(arguments):
    COLUMNS.extend(arguments[0].split(","))
    for file in arguments[1:]:
        if file.endswith(".resource-values.csv"):
            rows = duck(file)
            found = sorted([row["resource_name"], row["attribute"], row["value"]] for row in rows)
            print(json.dumps({"reader": "duckdb", "file": file, "values": found}))
            continue
        if file.endswith(".json"):
            columns = ", ".join(f"row.{name}" for name in COLUMNS)
            told("duckdb", file, named(duckdb.sql(f"select {columns} from (select unnest(rows) as row from '{file}')")))
            continue
        told("duckdb", file, duck(file))
        if file.endswith(".parquet"):
            table = pyarrow.parquet.read_table(file)
            told("pyarrow", file, table.to_pylist())
            types = {field.name: str(field.type) for field in table.schema}
            print(json.dumps({"reader": "pyarrow", "file": file, "types": types}))
        elif file.endswith(".csv"):
            import pyarrow.csv

            told("pyarrow", file, pyarrow.csv.read_csv(file).to_pylist())
        else:
            import pyarrow.json

            told("pyarrow", file, pyarrow.json.read_json(file).to_pylist())


def folder(folder):
    kind = "parquet" if "parquet" in sys.argv[3:] else "json"
    ending = "parquet" if kind == "parquet" else "ndjson"
    table = f"read_{kind}('{folder}/*/*/part-*.{ending}', hive_partitioning = true)"
    newest = f"snapshot_id not in (select corrects from read_json('{folder}/_snapshots/*.parts') where corrects is not null)"
    query = f"select site, as_of::varchar, count(*), sum(quantity)::bigint from {table} where {newest} group by all order by all"
    print(json.dumps({"reader": "duckdb", "sites": duckdb.sql(query).fetchall()}))
    every = duckdb.sql(f"select count(*) from {table}").fetchall()[0][0]
    print(json.dumps({"reader": "duckdb", "every": every}))
    if kind == "parquet":
        # Each file has all its columns, so that pyarrow needs nothing from the names of folders.
        rows = pyarrow.dataset.dataset(folder, format="parquet", exclude_invalid_files=True).to_table()
        print(json.dumps({"reader": "pyarrow", "every": rows.num_rows, "as_of": str(rows.schema.field("as_of").type)}))


{"forms": forms, "folder": lambda arguments: folder(arguments[0])}[sys.argv[1]](sys.argv[2:])
