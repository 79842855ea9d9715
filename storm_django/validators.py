"""Django's validators on the properties of Storm classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import EMPTY_VALUES

Validator = Callable[[Any], None]
"""What Django calls a validator: it takes a value, and raises ``ValidationError``."""


class validated_by:
    """A validator for a Storm property, made of Django's::

        code = Unicode(validator=validated_by(MaxLengthValidator(8), validate_slug))

    It is called as Storm calls validators, with the object, the attribute's name and the value,
    and returns the value as it is. As in Django's fields, ``None``, ``""`` and empty collections
    are not tried. Raises Django's ``ValidationError`` with the messages of all that refuse the
    value; ``TypeError`` for an argument that can't be called.
    """

    def __init__(self, *validators: Validator) -> None:
        for validator in validators:
            if not callable(validator):
                raise TypeError(
                    f"validated_by() takes functions of a value, such as MinLengthValidator(3); "
                    f"{validator!r} is none"
                )
        self.validators = validators

    def __call__(self, obj: object, attribute: str, value: Any) -> Any:
        if value in EMPTY_VALUES:
            return value
        errors: list[ValidationError] = []
        for validator in self.validators:
            try:
                validator(value)
            except ValidationError as error:
                errors.extend(error.error_list)
        if errors:
            raise ValidationError(errors)
        return value

    def __repr__(self) -> str:
        return f"validated_by({', '.join(map(repr, self.validators))})"
