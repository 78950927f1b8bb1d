"""The warning lists that count: for which values, and what is done about a value on one of them."""

from collections.abc import Mapping
from enum import Enum


class Reach(Enum):
    """The values for which an entry of a list counts."""

    EXACT = "exact"  # the very value that it names
    PAGES = "pages"  # the host that it names, and every page of it
    WIDE = "wide"  # that value; and, with less weight, subdomains and addresses inside
    WITHIN = "within"  # shared by good and bad alike: never exactly, only with less weight
    EACH = "each"  # each address of a range as if it were named itself


LIST_REACH: Mapping[str, Reach] = {
    **dict.fromkeys(
        (
            *("alexa", "cisco_top1000", "moz-top500", "tranco10k"),
            *("cisco_top20k", "majestic_million", "dynamic-dns", "link-in-bio"),
            *("public-ipfs-gateways", "automated-malware-analysis", "parking-domain-ns"),
            *("public-dns-hostname", "nioc-filehash"),
            *("captive-portals", "findip-host", "whats-my-ip", "url-shortener"),
            "security-provider-blogpost",
            *("rfc6761", "tlds", "second-level-tlds", "university_domains"),
            *("public-dns-v4", "public-dns-v6"),
            *("common-ioc-false-positive", "empty-hashes", "eicar.com", "ti-falsepositives"),
            *("mozilla-CA", "mozilla-IntermediateCA", "android-test-keys"),
        ),
        Reach.EXACT,
    ),
    **dict.fromkeys(
        (
            *("google", "microsoft", "microsoft-office365", "microsoft-win10-connection-endpoints"),
            *("bank-website", "dax30"),
            *("google-gmail-sending-ips", "googlebot", "wikimedia", "umbrella-blockpage-hostname"),
            *("umbrella-blockpage-v4", "umbrella-blockpage-v6"),
        ),
        Reach.WIDE,
    ),
    **dict.fromkeys(
        (
            *("akamai", "cloudflare", "fastly", "stackpath", "zscaler", "github", "apple"),
            *("amazon-aws", "google-gcp", "microsoft-azure", "microsoft-azure-us-gov"),
            *("microsoft-azure-china", "microsoft-azure-germany", "microsoft-office365-ip"),
            *("microsoft-office365-cn", "lots-project", "sinkholes", "parking-domain"),
            *("alphastrike-scanning", "alphastrike-research-nt-scanning", "bufferover-nt-scanning"),
            *("censys-scanning", "coalition-signals-intelligence-nt-scanning"),
            *("cybergreen-nt-scanning", "cyberresilience-nt-scanning", "cypex-nt-scanning"),
            *("f6-nt-scanning", "internet-census-nt-scanning", "intrinsec-nt-scanning"),
            *("ipinfo-nt-scanning", "ipip-nt-scanning", "modat-nt-scanning", "modat-scanner"),
            *("netsecscan-nt-scanning", "netsecscan-scanning", "onyphe-nt-scanning"),
            *("onyphe-scanner", "probethenet-nt-scanning", "rapid7-nt-scanning"),
            *("research-scanner-nt-scanning", "shadowforce-nt-scanning", "shadowforce-scanning"),
            *("shadowserver", "shadowserver-nt-scanning", "shodan-scanning", "shodan-nt-scanning"),
            *("skipa-nt-scanning", "tenable-cloud-ipv4", "tenable-cloud-ipv6"),
            *("check-host-net", "openai-gptbot"),
        ),
        Reach.WITHIN,
    ),
    **dict.fromkeys(("smtp-receiving-ips", "smtp-sending-ips"), Reach.EACH),
    "xml-namespaces": Reach.PAGES,
}
"""The lists that count, by the name of their folder.

Left out: the million-site lists (of 297,732 real indicators, one names 1,375), disposable
mail and VPN ranges (attackers live there), the RFC address ranges (the rule
`private_addresses` knows them) and lists that are matched by expression.
"""
HELD_LISTS = frozenset(
    (
        *("cisco_top20k", "majestic_million", "dynamic-dns", "link-in-bio"),
        *("public-ipfs-gateways", "automated-malware-analysis", "parking-domain-ns"),
        *("public-dns-hostname", "nioc-filehash", "smtp-receiving-ips", "smtp-sending-ips"),
    )
)
"""Lists whose exact hits are held instead of refused: an attacker's value may be on them."""
NOT_SHIPPED = frozenset(("nioc-filehash",))
"""Lists that count if the operator loads them; too long to be shipped."""
OWN_LISTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "android-test-keys": (
        "Certificates whose private keys are part of Android's source code",
        (
            *("e89b158e4bcf988ebd09eb83f5378e87", "61ed377e85d386a8dfee6b864bd85b0bfaa5af81"),
            "a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc",  # testkey
            "27196e386b875e76adf700e7ea84e4c6eee33dfa",
            "c8a2e9bccf597c2fb6dc66bee293fc13f2fc47ec77bc6b2b0d52c11f51192ab8",  # platform
            "5b368cff2da2686996bc95eac190eaa4f5630fe5",  # shared
            "b79df4a82e90b57ea76525ab7037ab238a42f5d3",  # media
        ),
    ),
    "xml-namespaces": (
        "Hosts in the names of XML namespaces and schemas",
        (
            *("www.w3.org", "schemas.xmlsoap.org", "schemas.openxmlformats.org", "xmlpull.org"),
            *("schemas.microsoft.com", "schemas.android.com", "ns.adobe.com", "tempuri.org"),
            *("docs.oasis-open.org", "java.sun.com", "xmlns.jcp.org", "xmlns.oracle.com"),
            *("xml.apache.org", "relaxng.org", "json-schema.org", "www.springframework.org"),
        ),
    ),
}
"""Lists beside those of MISP, with titles.

Certificates with public keys sign harmless files, and programs, documents and requests are full of
URLs that name a schema.
"""
