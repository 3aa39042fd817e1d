"""Croissant metadata: files with their digests, and the columns of each form, for programs that load data sets. Pure.

Format: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html
"""

from collections.abc import Mapping
from typing import Any

from trees.interchange.card.columns import meaning
from trees.interchange.card.metadata import OUR_LICENSE_URL, abstract, authors, bibtex, licenses
from trees.interchange.card.published import DataFile, Published
from trees.interchange.card.words import OUR_LICENSE
from trees.interchange.flat import Type
from trees.interchange.forms import FORMS, Form

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
ENCODING = "application/x-parquet"
DATA_TYPES = {"string": "sc:Text", "bool": "sc:Boolean", "int32": "sc:Integer", "float64": "sc:Float"}


def croissant(published: Published, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON-LD document. Each form is a record set over the tables of its splits."""
    tables = [(form, published.tables(form.name)) for form in FORMS]
    with_rows = [(form, files) for form, files in tables if files]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": published.title,
        "description": abstract(published, figures),
        "version": published.name,
        "datePublished": published.date,
        "license": [OUR_LICENSE_URL if name == OUR_LICENSE else name for name in licenses(figures)],
        **({"url": published.url} if published.url else {}),
        "creator": {"@type": "sc:Organization", "name": authors(published)},
        "citeAs": bibtex(published),
        "isLiveDataset": False,
        "distribution": [
            *(_file_object(file) for _, files in with_rows for file in files),
            *(_file_set(form) for form, _ in with_rows),
        ],
        "recordSet": [_record_set(form) for form, _ in with_rows],
    }


def _file_object(file: DataFile) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": ENCODING,
        "sha256": file.sha256,
    }


def _file_set(form: Form) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": _tables_of(form),
        "name": _tables_of(form),
        "encodingFormat": ENCODING,
        "includes": f"data/{form.name}/*.parquet",
    }


def _tables_of(form: Form) -> str:
    return f"tables/{form.name}"


def _record_set(form: Form) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": form.name,
        "name": form.name,
        "description": form.description,
        "field": [_field(form, name, kind) for name, kind in form.columns.items()],
    }


def _field(form: Form, name: str, kind: Type) -> dict[str, Any]:
    """Describe a column; parts of a struct are sub-fields."""
    source = {"fileSet": {"@id": _tables_of(form)}, "extract": {"column": name}}
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{form.name}/{name}",
        "name": f"{form.name}/{name}",
        "description": meaning(form.name, name),
    }
    element, repeated = (kind[0], True) if isinstance(kind, list) else (kind, False)
    if repeated:
        field["repeated"] = True
    if isinstance(element, str):
        return field | {"dataType": DATA_TYPES[element], "source": source}
    return field | {"subField": [_sub_field(field["@id"], source, part, of) for part, of in element.items()]}


def _sub_field(parent: str, source: dict[str, Any], name: str, kind: Type) -> dict[str, Any]:
    element = kind[0] if isinstance(kind, list) else kind
    assert isinstance(element, str), "no form has a struct inside a struct"
    return {
        "@type": "cr:Field",
        "@id": f"{parent}/{name}",
        "name": f"{parent}/{name}",
        "dataType": DATA_TYPES[element],
        **({"repeated": True} if isinstance(kind, list) else {}),
        "source": source | {"transform": {"jsonPath": name}},
    }
