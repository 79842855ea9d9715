"""Form fields that choose among Storm objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.choices import BaseChoiceIterator
from storm.store import ResultSet

from storm_django.key_columns import KeyColumn, key_of_class
from storm_django.stores import get_store


class StormChoiceIterator(BaseChoiceIterator):
    """The pairs of key and label. One query each time that it is iterated."""

    def __init__(self, field: StormChoiceField) -> None:
        self.field = field

    def __iter__(self) -> Iterator[tuple[str, str]]:
        if self.field.empty_label is not None:
            yield "", self.field.empty_label
        for obj in self.field.results():
            yield self.field.prepare_value(obj), self.field.label_from_object(obj)


class StormChoiceField(forms.ChoiceField):
    """A field whose choices are the objects of a Storm class, and whose value is one of them.

    ``storm_class`` has a primary key of one column, else the field can't be made
    (``UnusableKeyError``). ``results`` is a function without arguments that returns the
    ``ResultSet`` to choose from, which has no limit; by default all objects in the store behind
    the ``default`` alias. It is called for each form that is rendered or validated. With a text
    input as the widget the key is typed in.
    """

    default_error_messages = forms.ModelChoiceField.default_error_messages

    def __init__(
        self,
        storm_class: type,
        results: Callable[[], ResultSet] | None = None,
        *,
        empty_label: str | None = "---------",
        blank: bool = False,
        **kwargs: Any,
    ) -> None:
        self.key: KeyColumn = key_of_class(storm_class)
        self._results = results
        forms.Field.__init__(self, **kwargs)
        if (self.required and self.initial is not None) or (
            isinstance(self.widget, forms.RadioSelect) and not blank
        ):
            empty_label = None  # as in Django's ModelChoiceField
        self.empty_label = empty_label
        self._tell_widget()

    def _tell_widget(self) -> None:
        self.widget.choices = self.choices

    @property
    def choices(self) -> Any:  # type: ignore[override]
        """An iterable of pairs, which makes its query when it is iterated."""
        return StormChoiceIterator(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> StormChoiceField:
        result: StormChoiceField = super(forms.ChoiceField, self).__deepcopy__(memo)
        result._tell_widget()
        return result

    def results(self) -> ResultSet:
        """The objects to choose from."""
        if self._results is not None:
            return self._results()
        return get_store().find(self.key.storm_class)

    def label_from_object(self, obj: Any) -> str:
        """What a person reads for an object. Override it for other labels."""
        return str(obj)

    def prepare_value(self, value: Any) -> Any:
        """The text of a key, of an object, or of what was typed in."""
        if isinstance(value, self.key.storm_class):
            value = self.key.of(value)
        if value is None or isinstance(value, str):
            return value
        try:
            return self.key.to_text(value)
        except ValueError:
            return value

    def to_python(self, value: Any) -> Any:
        """The object of a key, or None for an empty value."""
        if value in self.empty_values:
            return None
        found = self._find([value])
        if not found:
            raise self._invalid(value)
        return found[0]

    def _find(self, values: list[Any]) -> list[Any]:
        """The objects with these keys that can be chosen, in one query."""
        keys = []
        for value in values:
            if isinstance(value, self.key.storm_class):
                value = self.key.of(value)
            try:
                keys.append(self.key.clean(value))
            except ValueError:
                raise self._invalid(value) from None
        return list(self.results().find(self.key.column.is_in(keys)))

    def _invalid(self, value: Any) -> ValidationError:
        return ValidationError(
            self.error_messages["invalid_choice"], code="invalid_choice", params={"value": value}
        )

    def validate(self, value: Any) -> None:
        forms.Field.validate(self, value)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the data is another object's key than that of ``initial``."""
        if self.disabled:
            return False
        before, after = (self.prepare_value(value) for value in (initial, data))
        return str("" if before is None else before) != str("" if after is None else after)


class StormMultipleChoiceField(StormChoiceField):
    """A field whose value is a list of objects of a Storm class."""

    widget = forms.SelectMultiple
    hidden_widget = forms.MultipleHiddenInput
    default_error_messages = forms.ModelMultipleChoiceField.default_error_messages

    def __init__(
        self, storm_class: type, results: Callable[[], ResultSet] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(storm_class, results, empty_label=None, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, (list, tuple, set, ResultSet)):
            return [super(StormMultipleChoiceField, self).prepare_value(each) for each in value]
        return super().prepare_value(value)

    def to_python(self, value: Any) -> Any:
        """The objects of a list of keys, in the order of ``results``."""
        if value in self.empty_values:
            return []
        if not isinstance(value, (list, tuple)):
            raise ValidationError(self.error_messages["invalid_list"], code="invalid_list")
        found = self._find(list(value))
        texts = {self.prepare_value(obj) for obj in found}
        for each in value:
            if self.prepare_value(each) not in texts:
                raise self._invalid(each)
        return found

    def _invalid(self, value: Any) -> ValidationError:
        return ValidationError(
            self.error_messages["invalid_choice"],
            code="invalid_choice",
            params={"value": value, "pk": value},
        )

    def has_changed(self, initial: Any, data: Any) -> bool:
        if self.disabled:
            return False
        before, after = (self.prepare_value(list(value or [])) for value in (initial, data))
        return {str(value) for value in before} != {str(value) for value in after}
