"""The schema as a person reads it: every key with its type, its default and what it means."""

from collections.abc import Iterator

from pydantic.fields import FieldInfo

from .schema import (
    AEConfig,
    Config,
    DataConfig,
    EvaluateConfig,
    Section,
    StudyConfig,
    TrackConfig,
    TrainConfig,
    VAEConfig,
    VAEGANConfig,
    Variant,
)

SECTIONS: dict[str, type[Section]] = {
    "(top level)": Config,
    "model, family: ae": AEConfig,
    "model, family: vae": VAEConfig,
    "model, family: vaegan": VAEGANConfig,
    "data": DataConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "track": TrackConfig,
    "a study": StudyConfig,
    "a study's variants.NAME": Variant,
}


def schema_text() -> str:
    """Every setting, section by section."""
    return "\n\n".join("\n".join([f"{title}: {_text(kind.__doc__)}", *_fields(kind, "  ")]) for title, kind in SECTIONS.items())


def _fields(kind: type[Section], indent: str) -> Iterator[str]:
    types = kind.model_json_schema()["properties"]
    for name, field in kind.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, Section) and annotation not in SECTIONS.values():
            yield f"{indent}{name}: {_text(annotation.__doc__)}"
            yield from _fields(annotation, indent + "  ")
        elif name not in SECTIONS and name != "model":
            yield f"{indent}{name}: {_type(types[name])}{_default(field)}"
            yield f"{indent}    {_text(field.description)}"


def _type(schema: dict[str, object]) -> str:
    """A JSON schema in a few words: `integer >= 1`, `'a' | 'b'`."""
    match schema:
        case {"const": value}:
            return repr(value)
        case {"enum": list(values)}:
            return " | ".join(map(str, values))
        case {"anyOf": list(choices)}:
            return " | ".join(map(_type, choices))
        case {"prefixItems": list(items)}:
            return f"[{', '.join(map(_type, items))}]"
        case {"items": dict(item)}:
            return f"list of {_type(item)}"
        case {"type": str(kind)}:
            bounds = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<", "multipleOf": "multiple of"}
            limits = [f"{sign} {schema[key]:g}" for key, sign in bounds.items() if isinstance(schema.get(key), int | float)]
            return " ".join([{"object": "mapping"}.get(kind, kind), *limits])
        case _:
            return "mapping"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return " (required)"
    value = field.get_default(call_default_factory=True)
    return f" = {list(value) if isinstance(value, tuple) else value}"


def _text(docs: str | None) -> str:
    return " ".join((docs or "").split())
