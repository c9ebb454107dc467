// Draws every element with data-chart: {kind, time, width, names, data} as uPlot, in the page's colours.
(() => {
  "use strict";

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function axes(chart) {
    const common = {
      stroke: colour("--muted"),
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { stroke: colour("--line"), width: 1, size: 4 },
      font: `11px ${getComputedStyle(document.body).fontFamily}`,
    };
    const x = { ...common, space: chart.time ? 80 : 50, size: 30 };
    if (chart.time) x.values = (_, seconds) => seconds.map((at) => moment(at, chart.width));
    const y = { ...common, size: 52, values: (_, ticks) => ticks.map(short) };
    if (chart.kind === "bars") y.incrs = [1, 2, 5].flatMap((one) => [...Array(7)].map((_, n) => one * 10 ** n)).sort((a, b) => a - b);
    return [x, y];
  }

  // A tick with as many digits as it needs.
  function short(value) {
    const size = Math.abs(value);
    return size > 0 && (size < 0.001 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(4)));
  }

  // Seconds as "09:30" where a chart covers hours, "03-02 09:30" where it covers days, "03-02" beyond.
  function moment(at, width) {
    const text = new Date(at * 1000).toISOString();
    if (width >= 86400) return text.slice(5, 10);
    return width >= 3600 ? text.slice(5, 16).replace("T", " ") : text.slice(11, 16);
  }

  function series(chart) {
    const strokes = [colour("--series-1"), colour("--series-2")];
    const bars = chart.kind === "bars";
    return chart.names.map((name, index) => ({
      label: name,
      stroke: strokes[index % 2],
      width: bars ? 1.5 : 2,
      fill: bars && index === 0 ? colour("--series-1-fill") : undefined,
      paths: bars ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: !bars && chart.data[0].length < 40, size: 5 },
    }));
  }

  function x(chart) {
    if (!chart.time) return { label: chart.x };
    return { label: "UTC", value: (_, at) => (at === null ? "--" : moment(at, chart.width)) };
  }

  function draw(element) {
    const chart = JSON.parse(element.dataset.chart);
    element.replaceChildren();
    if (!chart.data[0].length) return;
    const data = chart.data.map((values) => values.slice());
    if (chart.kind === "bars") {
      // The last step needs an end to be visible.
      data[0].push(data[0][data[0].length - 1] + chart.width);
      data.slice(1).forEach((values) => values.push(values[values.length - 1]));
    }
    const plot = new uPlot({
      width: element.clientWidth || 400,
      height: 190,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      scales: { x: { time: chart.time }, y: chart.kind === "bars" ? { range: (_, low, high) => [0, Math.max(high, 1) * 1.1] } : {} },
      series: [x(chart), ...series(chart)],
      axes: axes(chart),
      legend: { live: true },
      cursor: { drag: { x: false, y: false } },
    }, data, element);
    element.plot = plot;
  }

  function drawAll() {
    document.querySelectorAll("[data-chart]").forEach((element) => {
      if (!element.plot || !element.contains(element.plot.root)) draw(element);
    });
  }

  function redraw() {
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  let waiting = 0;
  addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(redraw, 150);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  document.addEventListener("htmx:afterSettle", drawAll);
  drawAll();
})();
