"""The bill of materials: a CycloneDX 1.6 document of what a source bundles (ECMA-424), the same for the same input."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from director.tls.archive import DEFAULT_EPOCH
from hatch_thespian.distributions import Bundle, Dist, reach

if TYPE_CHECKING:
    from cyclonedx.model.component import Component


def sbom(group: str, version: str | None, bundle: Bundle, epoch: int | None) -> bytes:
    """The document.

    Args:
        group, version: the source.
        bundle: what it brings along.
        epoch: seconds since 1970 UTC for its time stamp; None: that of dateless archives.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    root = Component(
        name=group, version=version, type=ComponentType.APPLICATION, bom_ref=f"{group}@{version}"
    )
    parts = {one.key: _component(one) for one in bundle.distributions}
    told = "".join([f"{group}@{version}", *(f"\n{one.purl}" for one in parts.values())])
    bom = Bom(
        components=parts.values(), serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"tls:{told}")
    )
    bom.metadata.timestamp = datetime.fromtimestamp(epoch or DEFAULT_EPOCH, UTC)
    bom.metadata.component = root
    bom.metadata.tools.components.clear()
    bom.metadata.tools.tools.clear()
    asked = [key for key, way in bundle.why.items() if len(way) == 1 and key in parts]
    bom.register_dependency(root, [parts[key] for key in asked])
    known = {one.key: one for one in bundle.distributions}
    for one in bundle.distributions:
        direct = {key for key, way in reach(known.get, one.requires).why.items() if len(way) == 1}
        bom.register_dependency(parts[one.key], [parts[key] for key in sorted(direct)])
    return JsonV1Dot6(bom).output_as_string(indent=1).encode() + b"\n"


def _component(dist: Dist) -> Component:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
    from packageurl import PackageURL

    licence: DisjunctiveLicense | LicenseExpression
    try:
        licence = LicenseExpression(str(canonicalize_license_expression(dist.licence)))
    except InvalidLicenseExpression:
        licence = DisjunctiveLicense(name=dist.licence)
    links = []
    if dist.homepage:
        links.append(
            ExternalReference(type=ExternalReferenceType.WEBSITE, url=XsUri(dist.homepage))
        )
    return Component(
        name=dist.name,
        version=dist.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"{dist.key}@{dist.version}",
        purl=PackageURL("pypi", None, dist.key, dist.version),
        licenses=[licence],
        description=dist.summary or None,
        external_references=links,
    )
