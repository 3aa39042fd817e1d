/* The state of the admin's pages, by the names that the library's templates know (Alpine.js evaluates them). The theme is
   set before anything is drawn. */
const adminTheme = JSON.parse(localStorage.getItem("adminTheme") ?? '"auto"');
const isDark = (name) => name === "dark" || (name === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.classList.toggle("dark", isDark(adminTheme));

window.theme = (fixed) => ({
  openModal: false,
  filterOpen: false,
  openAllApplications: false,
  adminTheme: fixed || adminTheme,
  switchTheme(name) {
    this.adminTheme = name;
    localStorage.setItem("adminTheme", JSON.stringify(name));
  },
  themeBindings: {
    "x-bind:class"() {
      return { dark: isDark(this.adminTheme), "overflow-hidden": this.openModal || this.filterOpen };
    },
  },
});
window.frame = () => ({
  activeTab: "general",
  sidebarMobileOpen: false,
  sidebarDesktopOpen: localStorage.getItem("sidebarDesktopOpen") !== "0",
});

window.searchForm = () => ({
  applyShortcut(event) {
    if (event.key !== "/" || event.target.closest?.("input, textarea, select, [contenteditable]")) return;
    event.preventDefault();
    this.$refs.searchInput.focus();
  },
});

/* For screen readers: the library does not say which part of a page is the main one. */
document.addEventListener("DOMContentLoaded", () => document.getElementById("main")?.setAttribute("role", "main"));
