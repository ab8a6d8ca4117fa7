"""Figures of pairs: their spread, their ratios, and how they are shown."""
import statistics

from postgres import Postgres


def spread(values):
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def ratios(above, below):
    """Pair by pair: what drifts on the machine meets both of a pair."""
    if any(value == 0 for value in below):
        return None
    return spread([a / b for a, b in zip(above, below)])


def summarize(case, pairs, labels, seconds):
    """For each figure the spreads of PostgreSQL and of each binary, and of the ratios, of the pairs that are whole."""
    figures = []
    for figure in case.figures:
        own = [figure.read(pair["postgresql"], seconds) for pair in pairs]
        systems = [{"label": Postgres.label, **spread(own)}]
        first = None
        for index, label in enumerate(labels):
            values = [figure.read(pair["quorate"][index], seconds) for pair in pairs]
            system = {"label": label, **spread(values)}
            if figure.is_compared:
                system["of_postgresql"] = ratios(values, own)
                if first:
                    system["of_first_binary"] = ratios(values, first)
            first = first or values
            systems.append(system)
        figures.append({"name": figure.name, "digits": figure.digits, "systems": systems})
    return figures


def table(results, labels):
    """Text with a row for each case, figure and system."""
    compared = [("of_postgresql", "of PostgreSQL")]
    if len(labels) > 1:
        compared.append(("of_first_binary", f"of {labels[0]}"))
    head = ["case", "figure", "system", "min", "median", "max"]
    above = [""] * len(head)
    for _, title in compared:
        head += ["min", "median", "max"]
        above += [title, "", ""]
    lines = []
    for result in results:
        name = result["case"]
        for figure in result["figures"]:
            title = figure["name"]
            for system in figure["systems"]:
                line = [name, title, system["label"], *cells(system, figure["digits"])]
                for key, _ in compared:
                    line += cells(system.get(key), 2)
                lines.append(line)
                name = title = ""
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    # A title stands over its three columns, which make room for it if they must.
    for index, (_, title) in enumerate(compared):
        last = len(head) - 3 * (len(compared) - index) + 2
        widths[last] += max(0, len(title) - sum(widths[last - 2 : last + 1]) - 4)

    def aligned(line):
        return "  ".join(
            text.ljust(width) if i < 3 else text.rjust(width) for i, (text, width) in enumerate(zip(line, widths))
        ).rstrip()

    def titles():
        text = " " * (sum(widths[:6]) + 2 * 5)
        for index in range(len(compared)):
            start = 6 + 3 * index
            text += "  " + above[start].rjust(sum(widths[start : start + 3]) + 4)
        return text

    return "\n".join([titles(), aligned(head), *map(aligned, lines)])


def cells(values, digits):
    if not values:
        return ["", "", ""]
    return [f"{values[key]:.{digits}f}" for key in ("min", "median", "max")]
