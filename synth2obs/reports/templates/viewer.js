/* Draws what a reader chooses: spectra of stars, and responses of latents. Nothing leaves the page. */
(() => {
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const CONFIG = { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d"] };
const AXIS = { gridcolor: "#eceef1", zeroline: false, linecolor: "#b4bac2" };
const arrived = new Map();
let plotly = null;

/* The files of spectra call this. */
window.synth2obsStars = (part) => arrived.set(part.file, part);

function load(address) {
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => done();
    script.onerror = () => { script.remove(); failed(new Error(address)); };
    document.head.appendChild(script);
  });
}

function library() {
  if (plotly === null) {
    plotly = load(`${data.assets}/plotly.min.js`).catch((error) => { plotly = null; throw error; });
  }
  return plotly;
}

function bytes(text) {
  const raw = atob(text);
  return new DataView(Uint8Array.from(raw, (c) => c.charCodeAt(0)).buffer);
}

function floats(text) {
  const view = bytes(text);
  return Float64Array.from({ length: view.byteLength / 4 }, (_, k) => view.getFloat32(4 * k, true));
}

function whole(text, unit, bad) {
  const view = bytes(text);
  return Array.from({ length: view.byteLength / 2 }, (_, k) => {
    const value = view.getInt16(2 * k, true);
    return value === bad ? null : value * unit;
  });
}

function layout(more) {
  return {
    template: "none", paper_bgcolor: "#fff", plot_bgcolor: "#fff", hovermode: "x",
    font: { family: "Inter, Segoe UI, Helvetica Neue, Arial, sans-serif", size: 13, color: data.colours.ink },
    margin: { l: 58, r: 12, t: 40, b: 56 },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom" }, ...more,
  };
}

function axis(text, more) { return { title: { text, font: { size: 13 } }, ...AXIS, ...more }; }

function tell(note, text) { note.textContent = text; note.hidden = !text; }

/* Stars. */
function stars() {
  const table = document.getElementById("star-table");
  const rows = [...table.tBodies[0].rows];
  const words = rows.map((row) => `${row.cells[0].textContent} ${row.querySelector(".words").textContent}`.toLowerCase());
  const search = document.getElementById("star-search");
  const found = document.getElementById("star-count");
  const shown = () => rows.filter((row) => !row.hidden && row.querySelector("button"));
  const filter = () => {
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, k) => { row.hidden = !wanted.every((word) => words[k].includes(word)); count += !row.hidden; });
    found.textContent = `${count} of ${rows.length} stars`;
  };
  search.addEventListener("input", filter);
  search.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const first = shown()[0];
    if (first) choose(first);
  });
  filter();
  if (!data.stars) return;
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(button.closest("tr"));
  });
  for (const [id, step] of [["star-before", -1], ["star-next", 1]]) {
    document.getElementById(id).addEventListener("click", () => {
      const all = shown(), at = all.findIndex((row) => row.classList.contains("chosen"));
      const next = all[at < 0 ? 0 : at + step];
      if (next) { choose(next); keepInView(table, next); }
    });
  }
  whenSeen(document.getElementById("star-figure"), () => { if (!rows.some((r) => r.classList.contains("chosen")) && shown()[0]) choose(shown()[0]); });

  let wanted = 0;
  async function choose(row) {
    const button = row.querySelector("button"), star = Number(button.dataset.star), mine = ++wanted;
    for (const other of rows) { other.classList.toggle("chosen", other === row); }
    for (const other of table.querySelectorAll("button[aria-current]")) other.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    const note = document.getElementById("star-note");
    try {
      const curves = await spectrum(star);
      if (mine !== wanted) return;
      tell(note, "");
      await draw(row, button.textContent.trim(), curves);
    } catch (error) {
      document.getElementById("star-figure").hidden = true;
      tell(note, missing(error));
    }
  }
}

function keepInView(table, row) {
  const box = table.parentElement;
  box.scrollTop = row.offsetTop - box.clientHeight / 2;
}

function missing(error) {
  if (error.message === "other") return `The spectra in ${data.assets}/ belong to another page: run “synth2obs report” on the folder again.`;
  return `Cannot be drawn here: ${error.message} is missing or may not be loaded. Interactive figures need the folder “assets” beside this page (copy both, and open the page itself, not a preview).`;
}

async function spectrum(star) {
  const file = Math.floor(star / data.stars.each);
  await library();
  if (!arrived.has(file)) await load(`${data.assets}/${data.stars.folder}/stars-${String(file).padStart(3, "0")}.js`);
  const part = arrived.get(file);
  if (!part || part.key !== data.stars.key) throw new Error("other");
  const at = star % data.stars.each;
  return Object.fromEntries(["observed", "theory", "morph"].map((name) => [name, whole(part[name][at], data.stars.unit, data.stars.bad)]));
}

async function draw(row, name, curves) {
  const x = stars.wavelength || (stars.wavelength = floats(data.stars.wavelength));
  const line = (of, y, more) => ({ x, y, name: of, legendgroup: of, type: "scatter", mode: "lines", connectgaps: false, line: { color: data.colours[of], width: 1.2 }, ...more });
  const left = (of) => curves.observed.map((value, k) => value === null || curves[of][k] === null ? null : 100 * (value - curves[of][k]));
  const traces = [
    ...["observed", "theory", "morph"].map((of) => line(of, curves[of])),
    ...["theory", "morph"].map((of) => line(of, left(of), { yaxis: "y2", showlegend: false, name: `observed − ${of}` })),
  ];
  const figure = document.getElementById("star-figure");
  figure.hidden = false;
  await window.Plotly.react(figure, traces, layout({
    xaxis: axis(data.axes.wavelength, { anchor: "y2" }),
    yaxis: axis("flux / continuum", { domain: [0.34, 1] }),
    yaxis2: axis("residual (%)", { domain: [0, 0.28], zeroline: true }), uirevision: "stars", title: undefined,
  }), CONFIG);
  document.getElementById("star-name").textContent = name;
  document.getElementById("star-facts").textContent = row.dataset.facts;
  figure.setAttribute("aria-label", `Spectrum of ${name}: observed, theory and morph, and residuals. ${row.dataset.facts}`);
}

/* Latents. */
function latents() {
  const choice = document.getElementById("latent-choice"), slide = document.getElementById("latent-slide");
  const show = async (latent) => {
    choice.value = slide.value = String(latent);
    const note = document.getElementById("latent-note");
    try {
      await library();
      tell(note, "");
      await response(latent);
    } catch (error) {
      document.getElementById("latent-figure").hidden = true;
      tell(note, missing(error));
    }
  };
  choice.addEventListener("change", () => show(Number(choice.value)));
  slide.addEventListener("input", () => show(Number(slide.value)));
  whenSeen(document.getElementById("latent-figure"), () => show(Number(choice.value)));
}

async function response(latent) {
  const own = data.latents, x = latents.wavelength || (latents.wavelength = floats(own.wavelength));
  const y = whole(own.response[latent], 100 * own.units[latent], null);
  const figure = document.getElementById("latent-figure");
  figure.hidden = false;
  const marks = own.lines[latent];
  await window.Plotly.react(figure, [
    { x, y, type: "scatter", mode: "lines", name: "response", line: { color: data.colours.morph, width: 1.2 } },
    { x: marks.map((m) => m[0]), y: marks.map((m) => 100 * m[1]), text: marks.map((m) => m[2]), type: "scatter", mode: "markers+text", name: "strongest lines",
      textposition: marks.map((m) => m[1] > 0 ? "top center" : "bottom center"), marker: { color: data.colours.observed, size: 6 }, cliponaxis: false },
  ], layout({
    xaxis: axis(data.axes.wavelength), yaxis: axis("∂flux/∂latent (% of continuum)", { zeroline: true, zerolinecolor: "#b4bac2" }), showlegend: false, uirevision: "latents",
  }), CONFIG);
  figure.setAttribute("aria-label", `Response of theory's flux to latent ${latent}: ${own.words[latent]}`);
  document.getElementById("latent-words").textContent = own.words[latent];
}

function whenSeen(element, act) {
  const watch = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) { watch.disconnect(); act(); }
  });
  watch.observe(element);
}

for (const part of document.querySelectorAll(".needs-script")) part.hidden = false;
if (document.getElementById("star-table")) stars();
if (data.latents) latents();
})();
