/* Mends two things of the admin's library for screen readers: it does not say which part of a page is the main one, and
   it makes the scrolling menu a landmark of its own. */
document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("main")?.setAttribute("role", "main");
});
window.addEventListener("load", () => {
  for (const part of document.querySelectorAll("#nav-sidebar-apps [role=region]")) part.setAttribute("role", "group");
});
