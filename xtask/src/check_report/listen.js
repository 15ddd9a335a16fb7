"use strict";
// Before anything of the page runs: whatever it complains of.
const seen = [];
addEventListener("error", (event) => seen.push(event.message), true);
addEventListener("unhandledrejection", (event) => seen.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => seen.push(event.violatedDirective));
for (const level of ["error", "warn"]) {
	const say = console[level];
	console[level] = (...words) => {
		seen.push(words.join(" "));
		say(...words);
	};
}
