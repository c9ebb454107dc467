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
    return [{ ...common, space: chart.time ? 70 : 50, size: 30 }, { ...common, size: 48 }];
  }

  function series(chart) {
    const strokes = [colour("--series-1"), colour("--series-2")];
    const fills = [colour("--series-1-fill"), colour("--series-2-fill")];
    const bars = chart.kind === "bars";
    return chart.names.map((name, index) => ({
      label: name,
      stroke: strokes[index % 2],
      width: bars ? 1.5 : 2,
      fill: bars ? fills[index % 2] : undefined,
      paths: bars ? uPlot.paths.stepped({ align: 1 }) : undefined,
      points: { show: !bars && chart.data[0].length < 40, size: 5 },
    }));
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
      series: [{ label: chart.time ? "UTC" : "step" }, ...series(chart)],
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
