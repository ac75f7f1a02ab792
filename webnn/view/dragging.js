"use strict";
// Drags with the mouse or a finger, and pinches with two fingers.

const DRAGGED = 5;  // pixels; a pointer that has moved less was meant as a click

/**
 * Follows the pointers that are pressed on `canvas`, whose class is "dragging" meanwhile.
 *
 * `drag(dx, dy)` is called for each move of a pointer that is alone, in pixels, and `pinch(before, after, other)` for each
 * move of one beside another: its event before and after the move, and the last event of the other one. `hover(event)` is
 * called for moves of pointers that are not pressed.
 *
 * Returns a function that tells, in a click, whether it ends a drag.
 */
function followPointers(canvas, { drag, pinch, hover }) {
  const pointers = new Map();
  let travelled = 0;
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!pointers.size) travelled = 0;
    pointers.set(event.pointerId, event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return hover?.(event);
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    travelled += Math.abs(dx) + Math.abs(dy);
    if (travelled < DRAGGED) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("dragging");
    const other = [...pointers.values()].find((each) => each.pointerId !== event.pointerId);
    if (other) pinch(before, event, other);
    else drag(dx, dy);
    pointers.set(event.pointerId, event);
  });
  for (const end of ["pointerup", "pointercancel"])
    canvas.addEventListener(end, (event) => {
      pointers.delete(event.pointerId);
      canvas.classList.remove("dragging");
    });
  return () => travelled >= DRAGGED;
}
