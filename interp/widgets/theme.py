"""Whether the notebook around a widget is dark: seen by the browser, told to the kernel. And how wide it is."""

import anywidget
import traitlets

_SCRIPT = """
const luminance = (color) => {
  const parts = (color.match(/[\\d.]+/g) || []).map(Number);
  if (parts.length < 3 || parts[3] === 0) return null;
  return (0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]) / 255;
};
const behind = (element) => {
  for (let place = element; place; place = place.parentElement || place.getRootNode().host) {
    const found = luminance(getComputedStyle(place).backgroundColor);
    if (found !== null) return found;
  }
  return 1;
};
export default {
  render({ model, el }) {
    const look = () => {
      if (!el.isConnected) return;
      const dark = behind(el) < 0.5;
      el.dataset.dark = String(dark);
      if (dark !== model.get("dark")) { model.set("dark", dark); model.save_changes(); }
    };
    const observer = new MutationObserver(() => setTimeout(look, 50));
    observer.observe(document.body, { attributes: true });
    observer.observe(document.documentElement, { attributes: true });
    requestAnimationFrame(look);
    setTimeout(look, 300);
    let width = 0;
    const fit = () => {
      const now = el.parentElement?.getBoundingClientRect().width ?? 0;
      if (now && Math.abs(now - width) > 1) { width = now; window.dispatchEvent(new Event("resize")); }
    };
    const again = () => { width = 0; fit(); };
    for (const after of [300, 1000, 2500]) setTimeout(again, after);
    const sizes = new ResizeObserver(fit);
    requestAnimationFrame(() => { if (el.parentElement) sizes.observe(el.parentElement); });
    return () => { observer.disconnect(); sizes.disconnect(); };
  },
};
"""


class Theme(anywidget.AnyWidget):
    """An invisible widget whose `dark` follows what lies behind it in the page.

    It also has the figures beside it drawn anew when their place becomes wider or narrower.
    """

    _esm = _SCRIPT
    dark = traitlets.Bool(default_value=False).tag(sync=True)
