// start: lets the frame be painted before the page's own work begins; the rest is on its way meanwhile.
const begin = () => import('./app.js');

if (document.hidden) begin(); // nothing is painted until somebody looks
else requestAnimationFrame(() => setTimeout(begin));
