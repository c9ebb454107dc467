"""Bring the catalogues up to date: `python -m processor.console.locales`."""

from __future__ import annotations

from processor.console.locales import LOCALES, missing, updated, write


def main() -> int:
    """Write every catalogue; return 1 when a translation is missing."""
    left = 0
    for locale in LOCALES:
        catalog = updated(locale)
        write(locale, catalog)
        for message in missing(catalog):
            print(f"{locale}: {message}")
            left += 1
    return 1 if left else 0


if __name__ == "__main__":
    raise SystemExit(main())
