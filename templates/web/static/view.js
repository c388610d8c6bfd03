// The client in neuroglancer's wheel asks a Python server for changes of the view and says so while it has none.
// Here the view stands in the address alone, so that its link of events is one that is open and says nothing.
"use strict";
window.EventSource = class extends EventTarget {
  constructor() {
    super();
    setTimeout(() => this.onopen && this.onopen(new Event("open")), 0);
  }
  close() {}
};
if (!location.hash) location.replace("/");
