"use strict";
// What the page shows, as a program sees it in a browser: written into the page itself, where the browser's dump has it.
addEventListener("load", () => {
	const matrix = document.querySelector("table.matrix");
	const places = [...matrix.querySelectorAll("thead tr:first-child th[colspan]")].map((cell) => ({
		machine: cell.firstChild.textContent,
		kernel: cell.querySelector("small").textContent,
	}));
	const rows = [...matrix.querySelectorAll("tbody tr")];
	const verdicts = [];
	for (const row of rows) {
		const cells = [...row.querySelectorAll("td:not(.about)")];
		cells.forEach((cell, index) => {
			const link = cell.querySelector("a");
			if (!link) return;
			const details = document.getElementById(link.getAttribute("href").slice(1));
			const [, checks, seconds] = /, (\d+) checks, ([\d.]+) s/.exec(details.querySelector("summary").textContent);
			verdicts.push({
				scenario: row.querySelector("th").textContent,
				...places[Math.floor(index / 2)],
				implementation: index % 2 ? "rust" : "kernel",
				verdict: cell.className,
				told: details.querySelector("summary span").className,
				checks: Number(checks),
				seconds,
			});
		});
	}
	// What is wider than the window, and nothing around it scrolls.
	const scrolls = (element) => element.closest(".wide, .chart, pre") !== null;
	const wide = [...document.body.querySelectorAll("*")]
		.filter((element) => element.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !scrolls(element))
		.map((element) => `${element.tagName} ${element.textContent.slice(0, 60)}`);
	// The filter leaves what has the text, and all when it is empty.
	const filter = document.getElementById("filter");
	const shown = (text) => {
		filter.value = text;
		filter.dispatchEvent(new Event("input"));
		return rows.filter((row) => !row.hidden).map((row) => row.querySelector("th").textContent);
	};
	const name = rows[rows.length - 1].querySelector("th").textContent;
	const filtered = { name, shown: shown(name), none: shown("no scenario has this").length, all: shown("").length, rows: rows.length };
	const links = [...document.querySelectorAll("a[href]")].map((link) => link.getAttribute("href"));
	const target = links.find((link) => link.startsWith("#"));
	location.hash = target;
	setTimeout(() => {
		const result = {
			verdicts,
			width: document.documentElement.clientWidth,
			overflow: document.documentElement.scrollWidth > document.documentElement.clientWidth,
			wide,
			filtered,
			files: links.filter((link) => !link.startsWith("#")),
			dangling: links.filter((link) => link.startsWith("#") && !document.getElementById(link.slice(1))),
			opened: document.getElementById(target.slice(1)).open,
			requests: performance.getEntriesByType("resource").map((entry) => entry.name),
			errors: seen,
		};
		const place = document.createElement("script");
		place.type = "application/json";
		place.id = "seen";
		place.textContent = JSON.stringify(result).replaceAll("<", "\\u003c");
		document.body.append(place);
	}, 200);
});
