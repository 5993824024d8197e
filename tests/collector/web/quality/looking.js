// What a person would object to on a page that is shown, as a list of lines; nothing where nothing is wrong.
// keys: of the catalogue of messages; other: texts that would be of the other language.
({ keys, sections, other }) => {
  const wrong = [];
  const cut = (text) => (text.length > 60 ? `${text.slice(0, 60)}…` : text);
  const where = (node) => {
    const of = (e) => e.tagName.toLowerCase() + (e.id ? `#${e.id}` : "") + [...e.classList].slice(0, 2).map((c) => `.${c}`).join("");
    return `${node.parentElement ? of(node.parentElement) : ""} > ${of(node)}`;
  };
  const shown = (e) => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && e.getClientRects().length > 0;
  const hiddenOnPurpose = (e) => {
    const box = e.getBoundingClientRect();
    const style = getComputedStyle(e);
    return box.width <= 1 || box.height <= 1 || style.clip !== "auto" || style.clipPath === "inset(50%)";
  };

  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const widest = [...document.querySelectorAll("body *")].filter((e) => shown(e) && e.getBoundingClientRect().right > root.clientWidth + 1);
    wrong.push(`the document is ${root.scrollWidth - root.clientWidth} px too wide: ${widest.slice(-3).map(where).join(", ")}`);
  }
  const main = document.querySelector("#tw-main");
  if (!main || main.innerText.trim().length < 3) wrong.push("the main part is empty");
  if (document.querySelectorAll("h1").length !== 1) wrong.push(`${document.querySelectorAll("h1").length} headings of the first rank`);

  // ---- texts: whole, in their language, filled in
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const text = node.textContent.trim();
    if (!text || !shown(element) || ["SCRIPT", "STYLE", "OPTION", "NOSCRIPT"].includes(element.tagName)) continue;
    if (element.closest(".tw-visually-hidden, .nicegui-error-popup, .q-notifications")) continue;
    texts.push([node, element, text]);
  }
  const scrolls = (style) => /auto|scroll/.test(style.overflowX);
  for (const [node, element, text] of texts) {
    if (keys.has(text) || (/^[a-z_]+\.[a-z0-9_]+$/.test(text) && sections.has(text.split(".")[0]) && !element.closest("code, .tw-code, .tw-mono"))) {
      wrong.push(`a key instead of a text: ${text} in ${where(element)}`);
    }
    if (/^(undefined|null|NaN|\[object Object\])$|\bNaN\b|\bundefined\b|\[object |Invalid Date/.test(text)) wrong.push(`no text for a person: ${cut(text)} in ${where(element)}`);
    if (/(?<!\d)\d{1,2} (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept?|Oct|Nov|Dec) \d{1,3}(?![\d:])/.test(text)) wrong.push(`a date without its year: ${cut(text)} in ${where(element)}`);
    if (other.has(text) && !element.closest("[lang], code")) wrong.push(`of the other language: ${cut(text)} in ${where(element)}`);
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width || hiddenOnPurpose(element)) continue;
    for (let holder = element; holder && holder !== document.body; holder = holder.parentElement) {
      const style = getComputedStyle(holder);
      if (scrolls(style) || style.position === "fixed" || holder.matches(".ag-center-cols-viewport, .ag-header-viewport, .ag-body-viewport, .ag-floating-top-viewport")) break;
      if (hiddenOnPurpose(holder)) break;
      if (style.overflowX === "visible" || style.display === "inline") continue;
      const clip = holder.getBoundingClientRect();
      if ((box.right > clip.right + 1.5 || box.left < clip.left - 1.5) && !element.closest("[title], [aria-label]")) {
        wrong.push(`cut: ${cut(text)} in ${where(element)}`);
        break;
      }
      if (style.webkitLineClamp !== "none" && holder.closest("a")) break; // ends in an ellipsis, and leads to the whole of it
      if (style.overflowY !== "visible" && !scrolls(style) && box.bottom > clip.bottom + 3 && !element.closest("[title], [aria-label]") && !/auto|scroll/.test(style.overflowY)) {
        wrong.push(`cut below: ${cut(text)} in ${where(element)}`);
        break;
      }
    }
  }

  // ---- texts that lie over each other: what is drawn at the middle of a text is that text
  for (const [node, element, text] of texts) {
    if (hiddenOnPurpose(element) || element.closest(".tw-banner")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of [...range.getClientRects()].slice(0, 3)) {
      const [x, y] = [box.left + box.width / 2, box.top + box.height / 2];
      if (x < 0 || y < 0 || x >= innerWidth || y >= innerHeight || box.width < 3) continue;
      const top = document.elementFromPoint(x, y);
      if (!top || top === element || element.contains(top) || top.contains(element)) continue;
      const over = getComputedStyle(top);
      if (top.closest("header, .tw-header, [role=dialog], .q-layout__section--marginal") || over.position === "sticky" || top.closest("a, button, label, th, td, svg")?.contains(element)) continue;
      if ([...texts].some(([, other]) => other === top || top.contains(other)) && getComputedStyle(element).pointerEvents !== "none") wrong.push(`under another: ${cut(text)} in ${where(element)} under ${where(top)}`);
    }
  }

  // ---- and no two of them share a place, not even their ends: of each line what its holders let through
  const lines = [];
  for (const [node, element, text] of texts) {
    if (hiddenOnPurpose(element) || element.closest(".tw-banner, header, .tw-header, [role=dialog], dialog, svg, .ag-root-wrapper")) continue;
    let [left, right, top, bottom] = [0, innerWidth, -Infinity, Infinity];
    let apart = false;
    for (let holder = element; holder && holder !== document.body; holder = holder.parentElement) {
      const style = getComputedStyle(holder);
      if (["sticky", "fixed", "absolute"].includes(style.position)) apart = true;
      if (style.overflowX === "visible" || style.display === "inline") continue;
      const clip = holder.getBoundingClientRect();
      [left, right, top, bottom] = [Math.max(left, clip.left), Math.min(right, clip.right), Math.max(top, clip.top), Math.min(bottom, clip.bottom)];
    }
    if (apart) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) {
      const line = { left: Math.max(left, box.left), right: Math.min(right, box.right), top: Math.max(top, box.top), bottom: Math.min(bottom, box.bottom), node, text, element };
      if (line.right - line.left > 3 && line.bottom - line.top > 3) lines.push(line);
    }
  }
  lines.sort((a, b) => a.top - b.top);
  for (let one = 0; one < lines.length; one += 1) {
    for (let two = one + 1; two < lines.length && lines[two].top < lines[one].bottom - 6; two += 1) {
      const [a, b] = [lines[one], lines[two]];
      if (a.node === b.node || Math.min(a.right, b.right) - Math.max(a.left, b.left) < 3 || Math.min(a.bottom, b.bottom) - b.top < 6) continue;
      wrong.push(`over each other: ${cut(a.text)} in ${where(a.element)} and ${cut(b.text)} in ${where(b.element)}`);
    }
  }

  // ---- pictures and charts: named, and not empty without a reason
  for (const picture of document.querySelectorAll("#tw-main :is(svg, canvas, img)")) {
    if (!shown(picture) || picture.closest("[aria-hidden=true]") || picture.getAttribute("aria-hidden") === "true") continue;
    if (picture.tagName === "IMG" && picture.complete && !picture.naturalWidth) wrong.push(`a picture that did not come: ${picture.src}`);
    if (picture.tagName === "svg" && !picture.querySelector("*")) wrong.push(`an empty drawing in ${where(picture)}`);
  }
  for (const place of document.querySelectorAll("#tw-main :is(ul, ol, tbody, section, .tw-panel)")) {
    if (shown(place) && place.getBoundingClientRect().height > 40 && !place.innerText.trim() && !place.querySelector("svg, img, canvas, input, select")) wrong.push(`an empty place: ${where(place)}`);
  }
  return [...new Set(wrong)].slice(0, 40);
}
