"""The provenance of one site, from its spectrum back to the melt, without what would hide the thread."""

from __future__ import annotations

from typing import Any

from aiida import orm
from aiida.common.links import LinkType
from aiida.orm.utils.links import LinkPair
from aiida.tools.visualization import Graph
from graphviz import ExecutableNotFound

from aiida_siox.data.site import SiteData
from aiida_siox.data.site_table import SiteTableData
from aiida_siox.data.spectrum import SpectrumData
from aiida_siox.report.drawing import data_uri
from aiida_siox.report.figures.style import ACCENT, INK, MUTED
from aiida_siox.report.page import Block, Paragraph
from aiida_siox.report.page import Graph as GraphBlock
from aiida_siox.report.provenance import Link, ancestry, batches
from aiida_siox.report.timing import engine_name, is_marked
from aiida_siox.science.composition import formula_of_cell

#: Inputs that are worth showing though nothing in the graph made them: what the drawing calls a link, by its label.
TELLING_INPUTS = {
    "formula": "formula",
    "seed": "seed",
    "potential__definition": "potential",
    "potential": "potential",  # a file, in studies made before a potential had a definition
}

_BOX = {
    "fontname": "Helvetica,Arial,sans-serif",
    "fontsize": "11",
    "color": "#b8c1cb",
    "fontcolor": INK,
    "penwidth": "1",
}
_CALCULATION = {"shape": "box", "style": "filled,rounded", "fillcolor": "#fde7cf", "margin": "0.14,0.07"}
_FUNCTION = {"shape": "box", "style": "filled,rounded", "fillcolor": "#fdf4e3", "margin": "0.14,0.07"}
_DATA = {"shape": "box", "style": "filled", "fillcolor": "#e6f2f1", "margin": "0.12,0.05"}
_PLAIN = {"shape": "plaintext", "style": "", "fontcolor": MUTED, "margin": "0.04,0.02"}


def pick_site(table: SiteTableData) -> tuple[SiteData, SpectrumData] | None:
    """Return the first finished site of a table as its own node with its spectrum; None when there is none."""
    collect = table.creator
    if collect is None:
        return None
    builder = orm.QueryBuilder()
    builder.append(orm.CalcFunctionNode, filters={"id": collect.pk}, tag="collect")
    builder.append(SiteData, with_incoming="collect", filters={"attributes.status": "done"}, project="*", tag="site")
    builder.order_by({"site": {"attributes.site_index": {"order": "asc", "cast": "i"}}})
    builder.limit(1)
    found = builder.first()
    if found is None:
        return None
    site = found[0]
    builder = orm.QueryBuilder()
    builder.append(orm.CalcFunctionNode, filters={"id": collect.pk}, tag="collect")
    builder.append(
        SpectrumData,
        with_outgoing="collect",
        filters={"attributes.site_index": site.base.attributes.get("site_index")},
        project="*",
    )
    spectrum = builder.first()
    return None if spectrum is None else (site, spectrum[0])


def thread(site: SiteData, spectrum: SpectrumData) -> tuple[list[Link], int]:
    """Return the links that lead from the melt to a site, and how many other ancestors are left out.

    Kept are all calculations, data that one calculation made and another took, and a few telling inputs. Of the
    calcfunction ``collect`` only what concerns this site is kept.
    """
    collect = site.creator
    create, take = LinkType.CREATE.value, LinkType.INPUT_CALC.value
    charges = orm.QueryBuilder()
    charges.append(orm.CalcFunctionNode, filters={"id": collect.pk}, tag="collect")
    charges.append(orm.ArrayData, with_outgoing="collect", edge_filters={"label": "charges"}, project="*")
    own: list[tuple[orm.Data, str]] = [(spectrum, "spectrum"), *((node, "charges") for (node,) in charges.all())]
    links = sorted({link for node, _ in own for link in ancestry(node)})
    tail: list[Any] = [(node.pk, collect.pk, take, label) for node, label in own]
    tail.append((collect.pk, site.pk, create, "site"))
    made = {target for _, target, kind, _ in links if kind == create}
    used = {source for source, _, kind, _ in [*links, *tail] if kind == take}
    kept: set[Any] = {source for source, _, kind, _ in links if kind == create}
    kept |= {target for _, target, kind, _ in links if kind == take}
    kept |= {source for source, _, kind, label in links if kind == take and label in TELLING_INPUTS}
    kept |= (made & used) | {spectrum.pk, site.pk, collect.pk}
    everything = {end for link in links for end in link[:2]}
    shown = [link for link in links if link[0] in kept and link[1] in kept]
    return shown + tail, len(everything - kept)


def node_words(node: orm.Node) -> str:
    """Return what a node is, for a reader."""
    if isinstance(node, orm.CalcJobNode):
        inputs = node.inputs
        return engine_name(node.process_type, "structure" in inputs and is_marked(inputs.structure.base.attributes.all))
    if isinstance(node, orm.ProcessNode):
        return node.process_label or node.__class__.__name__
    if isinstance(node, orm.StructureData):
        words = "absorber marked" if is_marked(node.base.attributes.all) else "structure"
        symbols = [node.get_kind(name).symbol for name in node.get_site_kindnames()]
        return f"{words}, {formula_of_cell(symbols)}"
    if isinstance(node, SiteData):
        attributes = node.base.attributes
        return f"site {attributes.get('site_index')} of {attributes.get('formula')}"
    if isinstance(node, orm.Str | orm.Int | orm.Float | orm.Bool):
        return str(node.value)
    if isinstance(node, orm.SinglefileData) and type(node) is orm.SinglefileData:
        return node.filename
    if isinstance(node, orm.Dict) and "pair_style" in node:
        return f"potential {node['name']}"
    names = {
        "SpectrumData": "spectrum",
        "ArrayData": "arrays",
        "RemoteData": "scratch",
        "Dict": "results",
        "FolderData": "files",
        "UpfData": "pseudopotential",
        "KpointsData": "k mesh",
    }
    element = node.base.attributes.get("element", None)
    name = names.get(node.__class__.__name__, node.__class__.__name__)
    return f"{name} {element}" if element and name == "pseudopotential" else name


def node_style(node: orm.Node) -> dict[str, str]:
    """Return the look of a node."""
    if isinstance(node, SiteData):
        return {**_BOX, **_DATA, "fillcolor": ACCENT, "fontcolor": "white", "color": ACCENT}
    if isinstance(node, orm.CalcJobNode):
        return {**_BOX, **_CALCULATION}
    if isinstance(node, orm.ProcessNode):
        return {**_BOX, **_FUNCTION}
    if isinstance(node, orm.Str | orm.Int | orm.Float | orm.Bool):
        return {**_BOX, **_PLAIN}
    return {**_BOX, **_DATA}


def draw(links: list[Link], nodes: dict[int, orm.Node]) -> Any:
    """Return the graphviz drawing of links, made with AiiDA's own class."""
    graph = Graph(
        engine="dot",
        graph_attr={"rankdir": "TB", "nodesep": "0.22", "ranksep": "0.34", "bgcolor": "transparent", "margin": "0"},
        node_style_fn=node_style,
    )
    for pk, node in nodes.items():
        label = node_words(node)
        if not isinstance(node, orm.Str | orm.Int | orm.Float | orm.Bool):
            label = f"{label}\n{pk}"
        graph.add_node(node, style_override={"label": label})
    for source, target, kind, label in links:
        plain = {"color": "#8b95a1", "arrowsize": "0.6", "fontsize": "8", "fontcolor": MUTED, "fontname": "Helvetica"}
        if label in TELLING_INPUTS:
            plain |= {"label": f" {TELLING_INPUTS[label]}", "style": "dashed"}
        graph.add_edge(nodes[source], nodes[target], link_pair=LinkPair(LinkType(kind), label), style=plain)
    return graph.graphviz


def text_tree(links: list[Link], nodes: dict[int, orm.Node], root: int) -> str:
    """Return the same links as an indented text, from the site down to the melt; what comes again is not repeated."""
    sources: dict[int, list[int]] = {}
    for source, target, _, _ in links:
        sources.setdefault(target, []).append(source)
    lines: list[str] = []
    written: set[int] = set()

    def write(pk: int, depth: int) -> None:
        again = pk in written and bool(sources.get(pk))
        lines.append(
            f"{'   ' * depth}{'└─ ' if depth else ''}{node_words(nodes[pk])} ({pk}){' (see above)' if again else ''}"
        )
        if again:
            return
        written.add(pk)
        for source in sorted(set(sources.get(pk, []))):
            write(source, depth + 1)

    write(root, 0)
    return "\n".join(lines)


def site_provenance(tables: list[SiteTableData]) -> list[Block] | None:
    """Return the provenance of the first finished site of the first table that has one; None without any."""
    for table in tables:
        found = pick_site(table)
        if found is None:
            continue
        site, spectrum = found
        assert site.pk is not None  # it comes from the database
        links, n_hidden = thread(site, spectrum)
        nodes: dict[int, orm.Node] = {}
        for batch in batches(sorted({end for link in links for end in link[:2]})):
            builder = orm.QueryBuilder().append(orm.Node, filters={"id": {"in": batch}}, project="*")
            nodes.update({node.pk: node for node in builder.all(flat=True)})
        try:
            uri = data_uri(draw(links, nodes).pipe(format="svg"), "image/svg+xml")
        except ExecutableNotFound:
            uri = None
        title = f"{node_words(site)} ({site.pk})"
        hidden = f"{len(nodes)} nodes, with {n_hidden} inputs and files (parameters, codes, meshes) left out"
        words = f"AiiDA provenance of {title}. Orange: engine jobs; yellow: functions; green: data. All of it: "
        return [
            Paragraph(f"From the melt to {title}: {hidden}."),
            GraphBlock(uri, text_tree(links, nodes, site.pk), f"{words}verdi node graph generate {site.pk}."),
        ]
    return None
