"use strict";
(() => {
  const form = document.getElementById("filter");
  const controls = ["text", "level", "topic", "rule"].map((id) => document.getElementById(id));
  const [text, ...choices] = controls;
  const sections = [...document.querySelectorAll("#findings section.rule")].map((section) => ({
    section,
    rows: [...section.querySelectorAll("tbody tr")].map((row) => ({
      row,
      words: (row.dataset.rule + " " + row.textContent).toLowerCase(),
    })),
  }));
  const total = sections.reduce((sum, one) => sum + one.rows.length, 0);

  const apply = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const { section, rows } of sections) {
      let here = 0;
      for (const one of rows) {
        const fits =
          choices.every((choice) => !choice.value || one.row.dataset[choice.id] === choice.value) &&
          words.every((word) => one.words.includes(word));
        one.row.hidden = !fits;
        here += fits ? 1 : 0;
      }
      section.hidden = here === 0;
      shown += here;
    }
    document.getElementById("shown").textContent = shown + " of " + total;
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const control of controls) control.addEventListener("input", apply);
  apply();
})();
