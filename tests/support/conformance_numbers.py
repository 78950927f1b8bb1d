"""The numbers of the conformance requirements, and those without a check."""

ROWS = {
    1: 11,
    2: 17,
    3: 13,
    4: 5,
    5: 8,
    6: 10,
    7: 7,
    8: 11,
    9: 10,
    10: 7,
    11: 5,
    12: 15,
    13: 7,
    14: 9,
    15: 8,
    16: 23,
    17: 16,
    18: 6,
    19: 7,
    22: 15,
}
"""Number of requirements per section; section 22 holds questions that the standard leaves open."""

NUMBERS = [f"{section}.{row}" for section, rows in ROWS.items() for row in range(1, rows + 1)]

ELSEWHERE = {
    "1.7": "server/taxii/test_access.py::test_3_2_a_disabled_scheme_is_neither_accepted_nor_named",
    "3.2": "server/taxii/test_access.py::test_3_2_each_scheme_authenticates",
    "3.9": "server/taxii/test_resources.py::test_9_4_rights_are_those_of_the_account_that_asks",
    "6.8": "server/taxii/test_access.py::"
    "test_6_8_public_discovery_needs_no_credential_but_refuses_a_wrong_one",
    "8.11": "server/taxii/test_resources.py::"
    "test_8_6_every_entry_has_id_version_and_what_became_of_it",
    "9.9": "server/test_auth.py::test_9_9_a_grant_without_effect_makes_a_collection_visible_only",
    "12.15": "end_to_end/test_hub_process.py::"
    "test_a_large_submission_goes_on_where_a_crash_left_it",
    "14.8": "server/store/feeds/test_reader.py::test_an_object_may_be_in_several_feeds",
    "17.11": "server/taxii/test_paging.py::test_17_11_a_cursor_outlives_the_process",
    "17.13": "server/store/feeds/test_reader.py::test_a_clock_that_steps_back_changes_nothing",
}
"""Requirements that are not visible from outside, each with the test that covers it."""

NOT_HERE = {
    "1.6": "a permission: unauthorised requests may be dropped; the hub answers them",
    "1.10": "a permission: other paths may be served in addition to TAXII",
    "1.11": "about DNS: the hub publishes no SRV record, its operator may",
    "3.11": "a permission: each API root may have its own scheme; the hub has one root",
    "6.6": "an account without any API root; the hub has one root, which every account sees",
    "6.7": "a permission: roots on other servers may be listed; the hub has none",
    "6.9": "about clients: resolving relative and absolute roots",
    "19.5": "about channels, which the standard reserves and does not specify",
    "19.6": "a permission: objects may be kept as long as the server likes",
    "22.15": "about filters of the interoperability document, which the standard does not have",
}
"""Requirements that do not apply to the hub, and why."""
