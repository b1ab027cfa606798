// The size of the picture: fitted to the window, one picture pixel per screen pixel, or on the whole screen.

const $ = (id) => document.getElementById(id);
const AROUND = 400; // CSS pixels of controls above and below the picture that stay in view
const AROUND_FULL = 190; // on the whole screen
const SMALLEST = 220;
const STEP = 80; // of the arrow keys

export class Zoom {
  constructor(player) {
    this.player = player;
    this.isActual = false;
    this.part = 0.5; // of the visible picture, where the divider is
    $('fit').addEventListener('click', () => this.choose(false));
    $('actual').addEventListener('click', () => this.choose(true));
    $('full').addEventListener('click', () => this.toggleFull());
    $('full').hidden = !document.fullscreenEnabled;
    document.addEventListener('fullscreenchange', () => {
      $('full').setAttribute('aria-pressed', String(!!document.fullscreenElement));
      this.place();
    });
    window.addEventListener('resize', () => this.place());
    new ResizeObserver(() => requestAnimationFrame(() => this.place())).observe($('stage')); // the scroll bars, and the whole screen, come and go later
    $('pan').addEventListener('scroll', () => { if (this.isActual) player.placeSplit(this.split(this.part)); });
    $('pan').addEventListener('keydown', (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move || !this.isActual) return;
      event.preventDefault();
      $('pan').scrollBy(move[0] * STEP, move[1] * STEP);
    });
  }

  choose(isActual) {
    this.isActual = isActual;
    $('fit').setAttribute('aria-pressed', String(!isActual));
    $('actual').setAttribute('aria-pressed', String(isActual));
    this.place();
  }

  toggleFull() {
    if (document.fullscreenElement) document.exitFullscreen();
    else $('stage-card').requestFullscreen().catch(() => { $('full').hidden = true; });
  }

  /** Lay the picture out; at 100 % the place of the loupe is in the middle. */
  place() {
    const { width, height } = this.player.picture;
    if (!this.player.result || !width) return;
    const pan = $('pan');
    const room = Math.max(innerHeight - (document.fullscreenElement ? AROUND_FULL : AROUND), SMALLEST);
    const scale = this.isActual ? 1 / devicePixelRatio : Math.min(pan.clientWidth / width, room / height);
    $('sheet').style.width = `${Math.floor(width * scale)}px`;
    pan.style.maxHeight = `${room}px`;
    pan.classList.toggle('actual', this.isActual);
    if (this.isActual) {
      pan.scrollTo(this.player.spot.x * pan.scrollWidth - pan.clientWidth / 2, this.player.spot.y * pan.scrollHeight - pan.clientHeight / 2);
    }
    this.player.placeSplit(this.split(this.part));
  }

  /** The part of the whole width that is at `part` of the visible width. */
  split(part) {
    if (!this.isActual) return part;
    const pan = $('pan');
    return (pan.scrollLeft + part * Math.min(pan.clientWidth, pan.scrollWidth)) / pan.scrollWidth;
  }

  /** The part of the visible width that is at `split` of the whole width. */
  visible(split) {
    if (!this.isActual) return split;
    const pan = $('pan');
    return Math.min(Math.max((split * pan.scrollWidth - pan.scrollLeft) / Math.min(pan.clientWidth, pan.scrollWidth), 0), 1);
  }
}
