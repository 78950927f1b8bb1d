"""Keys of the Windows registry, and the one spelling of their hives."""

_SHORT_HIVES = {
    "hkcr": "HKEY_CLASSES_ROOT",
    "hkcu": "HKEY_CURRENT_USER",
    "hklm": "HKEY_LOCAL_MACHINE",
    "hku": "HKEY_USERS",
    "hkcc": "HKEY_CURRENT_CONFIG",
}
_HIVES = frozenset(
    (
        *("HKEY_CLASSES_ROOT", "HKEY_CURRENT_USER", "HKEY_LOCAL_MACHINE", "HKEY_USERS"),
        *("HKEY_CURRENT_CONFIG", "HKEY_PERFORMANCE_DATA", "HKEY_PERFORMANCE_TEXT"),
        *("HKEY_PERFORMANCE_NLSTEXT", "HKEY_DYN_DATA", "HKEY_CURRENT_USER_LOCAL_SETTINGS"),
    )
)


def canonical_registry_key(text: str) -> str:
    r"""A Windows registry key with its hive spelt out.

    >>> canonical_registry_key(r"HKLM\Software\x")
    'HKEY_LOCAL_MACHINE\\Software\\x'
    """
    hive, slash, rest = text.strip().partition("\\")
    return _SHORT_HIVES.get(hive.lower(), hive.upper() if hive[:5].lower() == "hkey_" else hive) + (
        slash + rest
    )


def is_registry_key(text: str) -> bool:
    """True for a Windows registry key that begins with a hive."""
    return canonical_registry_key(text).partition("\\")[0].upper() in _HIVES
