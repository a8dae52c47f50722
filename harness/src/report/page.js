// A line through all charts at the time under the pointer, and what the chart under it says of that time.
"use strict";
(() => {
  const charts = [...document.querySelectorAll("figure.chart")].map((figure) => {
    const area = figure.querySelector("svg.area");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("class", "cross");
    area.append(line);
    const readout = document.createElement("output");
    figure.querySelector("figcaption").append(readout);
    return { area, line, readout };
  });
  const clear = () => {
    for (const { line, readout } of charts) {
      line.removeAttribute("d");
      readout.textContent = "";
    }
  };
  for (const chart of charts) {
    chart.area.addEventListener("pointermove", (event) => {
      const box = chart.area.getBoundingClientRect();
      const at = (1000 * (event.clientX - box.left)) / box.width;
      for (const { line, readout } of charts) {
        line.setAttribute("d", `M${at.toFixed(1)} 0V1000`);
        readout.textContent = "";
      }
      const title = event.target.querySelector("title");
      chart.readout.textContent = title === null ? "" : title.textContent;
    });
    chart.area.addEventListener("pointerleave", clear);
  }
})();
