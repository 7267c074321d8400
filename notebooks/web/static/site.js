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
  frame.style.height = `${Math.ceil(event.data.height)}px`;
  if (!frame.dataset.ready) tell(frame);
  frame.dataset.ready = "1";
});
const all = () => frames().forEach(tell);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
addEventListener("DOMContentLoaded", () => new MutationObserver(all).observe(document.body, { attributeFilter: ["data-theme"] }));
