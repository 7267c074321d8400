// The pages of the views know neither their frame nor the theme: they say how high they are, and hear what is dark.
const dark = () => {
  const theme = document.body.dataset.theme;
  return theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
};
const frames = () => document.querySelectorAll("iframe.view");
const tell = (frame) => frame.contentWindow?.postMessage({ dark: dark() }, "*");

addEventListener("message", (event) => {
  const frame = [...frames()].find((one) => one.contentWindow === event.source);
  if (!frame || !(event.data?.height > 0)) return;
  frame.style.height = `${Math.ceil(event.data.height) + frame.offsetHeight - frame.clientHeight}px`; // and its border
  if (!frame.dataset.ready) tell(frame);
  frame.dataset.ready = "1";
});
const all = () => frames().forEach(tell);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
// What is scrolled sideways must be reached by the keyboard too.
const reachable = () => document.querySelectorAll("article pre, article .table-wrapper").forEach((box) => {
  if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
});
addEventListener("resize", reachable);
addEventListener("DOMContentLoaded", () => {
  reachable();
  new MutationObserver(all).observe(document.body, { attributeFilter: ["data-theme"] });
  // What the theme leaves unsaid to who listens: of what level its headings are, and which side is which.
  document.querySelectorAll(".sidebar-tree .caption").forEach((caption) => caption.setAttribute("aria-level", "2"));
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "All pages");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
});
