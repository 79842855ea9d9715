// Says, while one chooses, that the room is taken at that time. The server refuses it anyway.
"use strict";

const form = document.getElementById("move");
const hint = document.getElementById("move-hint");
const taken = JSON.parse(document.getElementById("taken").textContent);

function showWhatIsThere() {
  const title = taken[`${form.elements.slot.value}-${form.elements.room.value}`];
  hint.textContent = title ? `Taken by “${title}”.` : "";
}

form.addEventListener("change", showWhatIsThere);
showWhatIsThere();
