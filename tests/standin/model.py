"""The values that the service's API model allows, copied from AWS's SDKs of November 2026.

`tests/interop/` compares the languages with those of AWS's SDK for JavaScript.
"""

_LANGUAGES = (
    "af-ZA am-ET ar-AE ar-SA be-BY bg-BG bn-IN bs-BA ca-ES ckb-IQ ckb-IR cs-CZ cy-WL da-DK de-CH de-DE el-GR en-AB "
    "en-AU en-GB en-IE en-IN en-NZ en-US en-WL en-ZA es-ES es-MX es-US et-ET eu-ES fa-AF fa-IR fi-FI fr-CA fr-FR "
    "gl-ES gu-IN he-IL hi-IN hr-HR ht-HT hu-HU hy-AM id-ID is-IS it-IT ja-JP jv-ID ka-GE kab-DZ kk-KZ km-KH kn-IN "
    "ko-KR lg-IN lt-LT lv-LV mk-MK ml-IN mr-IN ms-MY my-MM ne-NP nl-NL no-NO or-IN pa-IN pl-PL ps-AF pt-BR pt-PT "
    "ro-RO ru-RU si-LK sk-SK sl-SI so-SO sq-AL sr-RS su-ID sv-SE sw-BI sw-KE sw-RW sw-TZ sw-UG ta-IN te-IN th-TH "
    "tl-PH tr-TR uk-UA uz-UZ vi-VN zh-CN zh-HK zh-TW zu-ZA"
)
LANGUAGES = frozenset(_LANGUAGES.split())
# From the developer guide, "Supported languages": languages that the service cannot identify.
NOT_IDENTIFIED = frozenset({"sv-SE", "vi-VN"})
MEDIA_ENCODINGS = frozenset({"flac", "g711-alaw", "g711-ulaw", "g729", "ogg-opus", "pcm"})
STABILITIES = frozenset({"high", "low", "medium"})
FILTER_METHODS = frozenset({"mask", "remove", "tag"})
TRANSCRIPT_FORMATS = frozenset({"spoken", "written"})
CONTENT_TYPES = frozenset({"PII"})
_PII_TYPES = (
    "ADDRESS AGE ALL BANK_ACCOUNT_NUMBER BANK_ROUTING CREDIT_DEBIT_CVV CREDIT_DEBIT_EXPIRY CREDIT_DEBIT_NUMBER "
    "DATE_TIME EMAIL LICENSE_PLATE NAME PASSPORT_NUMBER PASSWORD PHONE PIN SSN USERNAME VEHICLE_IDENTIFICATION_NUMBER"
)
PII_TYPES = frozenset(_PII_TYPES.split())
