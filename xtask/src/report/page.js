"use strict";
const filter = document.getElementById("filter");
if (filter) {
	filter.addEventListener("input", () => {
		const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
		for (const row of document.querySelectorAll("tr[data-text]")) {
			row.hidden = !wanted.every((word) => row.dataset.text.includes(word));
		}
	});
}
function show() {
	const target = document.getElementById(location.hash.slice(1));
	if (target instanceof HTMLDetailsElement) {
		target.open = true;
		target.scrollIntoView();
	}
}
addEventListener("hashchange", show);
show();
