"""Conditions on columns as text: what they mean, and one sentence for what cannot be read."""

import numpy as np
import polars as pl
import pytest

from pushforward.errors import DataError
from pushforward.tables import infer_schema, table_from
from pushforward.tables.conditions import check_conditions, keeping, parse_conditions

FRAME = pl.DataFrame(
    {
        "city": ["Bergen, west", 'the "old" town', "Oslo|Moss", None] * 10,
        "age": list(range(18, 58)),
        "height": np.linspace(150.0, 200.0, 40),
        "grade": [5.0, 6.0, 7.5, 8.0] * 10,
        "day": pl.Series(np.datetime64("2024-01-01") + np.arange(40)),
        "inches": np.linspace(150.0, 200.0, 40) / 2.54,
    }
)
SCHEMA = infer_schema(FRAME, kinds={"age": "integer", "grade": "categorical", "city": "categorical"})


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (['city="Bergen, west"'], {"city": "Bergen, west"}),
        (['city="Bergen, west"|"Oslo|Moss", age=20'], {"city": frozenset({"Bergen, west", "Oslo|Moss"}), "age": "20"}),
        (['city="the ""old"" town"'], {"city": 'the "old" town'}),
        (["city=missing"], {"city": None}),
        (["age=30..40", "height>=160.5", " height <= 170 "], {"age": (30.0, 40.0), "height": (160.5, 170.0)}),
        (["age=..40"], {"age": (None, 40.0)}),
        (["age>=20, age=..30"], {"age": (20.0, 30.0)}),
        (["grade=6..8"], {"grade": (6.0, 8.0)}),
        (["day>=2024-01-15"], {"day": (np.datetime64("2024-01-15"), None)}),
        (["age=20|22"], {"age": frozenset({"20", "22"})}),
    ],
)
def test_texts(texts, found):
    assert parse_conditions(SCHEMA, texts) == found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a condition such as"),
        ("age", "COLUMN=VALUE"),
        ("age>30", "COLUMN=VALUE"),
        ("town=Oslo", "there is no column 'town'"),
        ('city="Oslo', "a double quote at the end"),
        ("age>=", "a value after age>="),
        ("age>=old", "a finite number"),
        ("city>=Oslo", "which has no order"),
        ("grade>=good", "a number as a bound"),
        ("age=20, age=21", "contradict each other"),
        ("age=20, age>=18", "contradict each other"),
        ("day>=soon", "a date such as"),
    ],
)
def test_texts_that_are_no_conditions(text, words):
    with pytest.raises(DataError, match=words):
        parse_conditions(SCHEMA, [text])


def test_conditions_have_the_types_of_the_table():
    given = parse_conditions(SCHEMA, ["age=20, grade=6..8, day=2024-01-03, inches>=60, city=missing"])
    found = check_conditions(SCHEMA, given)
    names = SCHEMA.names
    assert found.given["age"] == 20
    assert found.fixed[names.index("age")] == 20
    assert np.isnan(found.fixed[names.index("city")])
    assert set(found.others) == {"grade", "inches"}
    assert str(found.given["day"]) == "2024-01-03"
    assert found.warnings == ()
    rows = table_from(FRAME)
    assert keeping(rows, check_conditions(SCHEMA, {"age": "20"}).given).sum() == 1
    assert keeping(rows, check_conditions(SCHEMA, {"grade": (6, 8)}).given).sum() == 30
    assert keeping(rows, check_conditions(SCHEMA, {"city": {"Oslo|Moss", "Bergen, west"}}).given).sum() == 20
    assert keeping(rows, check_conditions(SCHEMA, {"day": ("2024-01-02", "2024-01-03")}).given).sum() == 2
